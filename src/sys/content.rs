//! Moving bytes from one open file to another, and finding where a file has any.

use std::os::fd::OwnedFd;

use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::fault::{Op, call, sized};

/// A stretch of a file that holds data: from `start` up to, but not including, `end`. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What one call moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transferred {
    /// So many bytes, at least one.
    Bytes(u64),
    /// The source ends here.
    End,
}

impl From<usize> for Transferred {
    fn from(count: usize) -> Self {
        if count == 0 { Self::End } else { Self::Bytes(count as u64) }
    }
}

/// Makes `to` share all of `from`'s blocks.
///
/// # Errors
/// EXDEV, EOPNOTSUPP, EINVAL and others where that cannot be; nothing has happened then.
pub(crate) fn clone_whole(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    call(Op::Clone, b"", || rustix::fs::ioctl_ficlone(to, from))
}

/// Has the kernel copy up to `len` bytes at `offset`, within one file system.
///
/// # Errors
/// EXDEV between any two file systems, and a zoo of others (EINVAL, EPERM, EOPNOTSUPP, …) where it is not
/// supported: nothing has been copied by the failed call.
pub(crate) fn copy_range(from: &OwnedFd, to: &OwnedFd, offset: u64, len: u64) -> Result<Transferred, Errno> {
    let (mut off_in, mut off_out) = (offset, offset);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let mut copy = |len| rustix::fs::copy_file_range(from, Some(&mut off_in), to, Some(&mut off_out), len);
    rustix::io::retry_on_intr(|| sized(Op::CopyRange, len, &mut copy)).map(Transferred::from)
}

/// A pipe through which the kernel hands pages of one file to another: they are copied once, not twice.
#[derive(Debug)]
pub(crate) struct Pipe {
    inlet: OwnedFd,
    outlet: OwnedFd,
}

impl Pipe {
    /// What a pipe holds, if it is allowed to. Bytes. The kernel takes as much memory for the copy at once; with the most
    /// that an ordinary user may ask for (1 MiB, pipe(7)) that is memory which a virtual machine has given back to its host,
    /// and has to be given again.
    const CAPACITY: usize = 256 << 10;

    /// An empty pipe.
    pub(crate) fn open() -> Result<Self, Errno> {
        let (outlet, inlet) = call(Op::MakePipe, b"", || rustix::pipe::pipe_with(PipeFlags::CLOEXEC))?;
        // A user who has many pipes gets small ones. They do, too.
        rustix::pipe::fcntl_setpipe_size(&inlet, Self::CAPACITY).ok();
        Ok(Self { inlet, outlet })
    }

    /// Puts up to `len` bytes of `from` at `offset` into the pipe, which is empty: as many as it holds.
    pub(crate) fn fill(&self, from: &OwnedFd, offset: u64, len: u64) -> Result<Transferred, Errno> {
        let mut offset = offset;
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(Self::CAPACITY);
        let mut fill =
            |len| rustix::pipe::splice(from, Some(&mut offset), &self.inlet, None, len, SpliceFlags::empty());
        rustix::io::retry_on_intr(|| sized(Op::FillPipe, len, &mut fill)).map(Transferred::from)
    }

    /// Writes up to `len` bytes of what is in the pipe to `to` at `offset`. How many it were.
    pub(crate) fn drain(&self, to: &OwnedFd, offset: u64, len: u64) -> Result<u64, Errno> {
        let mut offset = offset;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut drain =
            |len| rustix::pipe::splice(&self.outlet, None, to, Some(&mut offset), len, SpliceFlags::empty());
        rustix::io::retry_on_intr(|| sized(Op::DrainPipe, len, &mut drain)).map(|count| count as u64)
    }
}

/// Takes room for `len` bytes, without making `file` longer (`FALLOC_FL_KEEP_SIZE`, fallocate(2)).
///
/// # Errors
/// ENOSPC and EDQUOT where there is not so much; EOPNOTSUPP and others where that cannot be done beforehand.
pub(crate) fn reserve(file: &OwnedFd, len: u64) -> Result<(), Errno> {
    let reserve = || rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, len);
    rustix::io::retry_on_intr(|| call(Op::Reserve, b"", reserve))
}

/// Lets the kernel know that part of a file is not needed in memory: it begins to write back what was changed, and forgets
/// what was not, or is written back already (`POSIX_FADV_DONTNEED`, `posix_fadvise(2)`). A hint: nothing depends on it.
pub(crate) fn let_go(file: &OwnedFd, offset: u64, len: u64) {
    rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(len), Advice::DontNeed).ok();
}

fn seek(file: &OwnedFd, to: SeekFrom) -> Result<u64, Errno> {
    call(Op::Seek, b"", || rustix::fs::seek(file, to))
}

/// Writes as much of `bytes` as one call of `write` takes.
fn write(bytes: &[u8], write: impl Fn(&[u8]) -> Result<usize, Errno>) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| sized(Op::Write, bytes.len(), |len| write(&bytes[..len])))
}

/// Reads at `offset`; fewer bytes than asked for do not mean the end, none does.
pub(crate) fn read_at(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let buffer_len = buffer.len();
    let mut read = |len| rustix::io::pread(file, &mut buffer[..len], offset);
    rustix::io::retry_on_intr(|| sized(Op::Read, buffer_len, &mut read))
}

/// Writes all of `bytes` at `offset`.
pub(crate) fn write_all_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let count = write(bytes, |bytes| rustix::io::pwrite(file, bytes, offset))?;
        if count == 0 {
            // POSIX leaves open what a write of nothing means; going on for ever is not among the choices.
            return Err(Errno::IO);
        }
        bytes = &bytes[count..];
        offset += count as u64;
    }
    Ok(())
}

/// Writes all of `bytes` at the end of what was written before.
pub(crate) fn append_all(file: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let count = write(bytes, |bytes| rustix::io::write(file, bytes))?;
        if count == 0 {
            return Err(Errno::IO);
        }
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Closes a file that was written to. Network file systems and FUSE servers send what is left only now, and only now say
/// that the quota is used up.
pub(crate) fn close(file: OwnedFd) -> Result<(), Errno> {
    call(Op::Close, b"", || match nix::unistd::close(file) {
        // Linux has closed it all the same (close(2)).
        Ok(()) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(Errno::from_raw_os_error(error as i32)),
    })
}

/// Makes `file` exactly `size` bytes long; what is added is a hole.
pub(crate) fn set_size(file: &OwnedFd, size: u64) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| call(Op::Truncate, b"", || rustix::fs::ftruncate(file, size)))
}

/// Where `file`, `size` bytes long, has data from `from` on: the next extent, or none if the rest is a hole.
///
/// A file system that cannot tell says that everything is data.
pub(crate) fn next_extent(file: &OwnedFd, from: u64, size: u64) -> Result<Option<Extent>, Errno> {
    if from >= size {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(Extent { start: from, end: size })),
        Err(error) => return Err(error),
    };
    let end = seek(file, SeekFrom::Hole(start))?;
    if start >= size {
        return Ok(None);
    }
    Ok(Some(Extent { start, end: end.clamp(start, size) }))
}
