//! The picture: for each work a bar for each mover, as long as it took; the scale of each work is its own.

use crate::measure::{Row, Taken};
use crate::movers::{Ends, Group};
use crate::table::seconds;

const WIDTH: u32 = 820;
/// Where bars begin: to the left are the names.
const LEFT: u32 = 190;
/// The longest bar: to the right of it is room for what it says.
const LONGEST: f64 = 440.0;
const LINE: u32 = 17;
const HEAD: u32 = 40;
const LEGEND: u32 = 44;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:#24292f}\
.head{font-weight:600;font-size:13px}.name{text-anchor:end}.quiet{fill:#57606a}\
.pmove{fill:#0969da}.peer{fill:#afb8c1}.floor{fill:#d4a72c}\
.memory{fill-opacity:.55}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.quiet{fill:#9198a1}\
.pmove{fill:#4493f8}.peer{fill:#656c76}.floor{fill:#9e6a03}}";

/// Draws all rows, one below the other.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut top = LEGEND;
    for row in rows {
        top += block(&mut body, row, top);
    }
    let height = top + 12;
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">"#
    );
    svg.push_str("<title>How long each mover takes, for each work</title><style>");
    svg.push_str(STYLE);
    svg.push_str("</style>\n");
    svg.push_str(&legend());
    svg.push_str(&body);
    svg.push_str("</svg>\n");
    svg
}

fn legend() -> String {
    let mut drawn = String::new();
    let keys = [
        ("pmove", "pmove, durable at the end"),
        ("pmove memory", "pmove --sync none"),
        ("peer", "other movers"),
        ("floor", "floors: the unavoidable calls only"),
    ];
    let mut x = 12;
    for (class, text) in keys {
        drawn.extend([format!(r#"<rect class="{class}" x="{x}" y="14" width="12" height="12"/>"#)]);
        line(&mut drawn, "key", x + 17, 24, text);
        x += 40 + u32::try_from(text.len()).unwrap_or(0) * 7;
    }
    drawn
}

/// Draws one work and returns how high it is.
fn block(body: &mut String, row: &Row, top: u32) -> u32 {
    let bars: Vec<_> = row.taken.iter().filter_map(|taken| row.figure(taken).map(|figure| (taken, figure))).collect();
    // A mover that takes many times as long as all others would make their bars alike: its bar is cut off.
    let mut figures: Vec<_> = bars.iter().map(|(_, figure)| *figure).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.get(figures.len() / 2).copied().unwrap_or(1.0);
    let scale = figures.last().copied().unwrap_or(1.0).min(3.0 * middle);
    line(body, "head", 12, top + 20, &row.work.title);
    let mut y = top + HEAD - 8;
    for (taken, figure) in bars {
        bar(body, row, taken, y, figure, scale);
        y += LINE;
    }
    y - top
}

fn bar(body: &mut String, row: &Row, taken: &Taken, y: u32, figure: f64, scale: f64) {
    let class = match (taken.group, taken.ends) {
        (Group::Pmove, Ends::Durable) => "pmove",
        (Group::Pmove, Ends::InMemory) => "pmove memory",
        (Group::Peer, _) => "peer",
        (Group::Floor | Group::Cellar, _) => "floor",
    };
    let length = (LONGEST * (figure / scale).min(1.0)).max(1.0);
    line(body, "name", LEFT - 8, y + 12, taken.name);
    let height = LINE - 5;
    let rect = format!(r#"<rect class="{class}" x="{LEFT}" y="{y}" width="{length:.1}" height="{height}" rx="2"/>"#);
    body.push_str(&rect);
    let cut = if figure > scale { " »" } else { "" };
    let ratio = row.to_mv(taken).map_or(String::new(), |ratio| format!(" · {ratio:.2} × mv"));
    let x = f64::from(LEFT) + length + 6.0;
    let text = format!(r#"<text class="quiet" x="{x:.1}" y="{}">{cut} {}{ratio}</text>"#, y + 12, seconds(figure));
    body.push_str(&text);
    body.push('\n');
}

fn line(body: &mut String, class: &str, x: u32, y: u32, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    body.extend([format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>\n")]);
}
