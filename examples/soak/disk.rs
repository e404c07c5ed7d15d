//! A small disk for the soak: a mounted ext4 image.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// A mounted disk; unmounted when dropped.
pub struct Disk {
    mount: PathBuf,
    filler: PathBuf,
}

impl Disk {
    /// Creates an image of this size and mounts it.
    pub fn create(folder: &Path, bytes: u64) -> anyhow::Result<Disk> {
        let (image, mount) = (folder.join("disk.img"), folder.join("disk"));
        File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .context("cannot create the disk's image")?;
        fs::create_dir(&mount)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount))?;
        let filler = mount.join("filler");
        let disk = Disk { mount, filler };
        fs::create_dir(disk.files())?;
        Ok(disk)
    }

    /// Returns the folder of the captures.
    pub fn files(&self) -> PathBuf {
        self.mount.join("captures")
    }

    /// Returns the disk space of the captures, in bytes.
    pub fn used(&self) -> u64 {
        let entries = fs::read_dir(self.files()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
    }

    /// Fills the disk, again if space became free. Returns whether there was any.
    pub fn fill(&self) -> anyhow::Result<bool> {
        let mut file = File::options().create(true).append(true).open(&self.filler)?;
        let before = file.metadata()?.blocks();
        let space = statvfs(&self.mount)?;
        let (len, free) = (file.metadata()?.len(), space.f_bavail * space.f_frsize);
        // First as much as possible in one piece, then the rest in small ones.
        let _ = fallocate(&file, FallocateFlags::empty(), len, free);
        loop {
            match file.write_all(&[1; 4096]) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull => break,
                Err(e) => return Err(e).context("cannot fill the disk"),
            }
        }
        Ok(file.metadata()?.blocks() > before)
    }

    /// Frees the space again.
    pub fn free(&self) -> anyhow::Result<()> {
        match fs::remove_file(&self.filler) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).context("cannot free the disk"),
            _ => Ok(()),
        }
    }

    /// Renames the folder of captures away.
    pub fn hide(&self) -> anyhow::Result<()> {
        fs::rename(self.files(), self.hidden()).context("cannot rename the folder")
    }

    /// Renames it back.
    pub fn show(&self) -> anyhow::Result<()> {
        fs::rename(self.hidden(), self.files()).context("cannot rename the folder back")
    }

    /// Returns its path while it is away.
    pub fn hidden(&self) -> PathBuf {
        self.mount.join("hidden")
    }

    /// Remounts the disk read-only or writable. Returns false if a file is open for writing: the kernel then refuses.
    pub fn set_read_only(&self, read_only: bool) -> anyhow::Result<bool> {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        let output = Command::new("mount").args(["-o", options]).arg(&self.mount).output()?;
        Ok(output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg(&self.mount)) {
            eprintln!("soak: {error:#}");
        }
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, said.trim());
    Ok(())
}
