use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    },
    process::Command,
};

use super::*;

fn folder() -> (tempfile::TempDir, Folder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    (dir, folder)
}

#[test]
fn only_regular_files_are_opened_and_none_is_waited_for() {
    let (dir, folder) = folder();
    fs::write(dir.path().join("file"), "text").unwrap();
    symlink("file", dir.path().join("link")).unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("fifo")).status().unwrap().success());
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap());
    for access in [OFlags::RDONLY, OFlags::RDWR] {
        assert!(folder.regular("file", access).unwrap().is_some());
        for name in ["link", "dir", "fifo", "socket"] {
            assert!(folder.regular(name, access).unwrap().is_none(), "{name}");
        }
    }
    assert_eq!(folder.regular("nothing", OFlags::RDONLY).unwrap_err().kind(), ErrorKind::NotFound);
    let mut names: Vec<_> = folder.names().unwrap().collect();
    names.sort();
    assert_eq!(names, ["dir", "fifo", "file", "link", "socket"]);
}

#[test]
fn a_name_does_not_lead_out() {
    let (_dir, folder) = folder();
    for name in ["", ".", "..", "../x", "/etc/passwd", "a/b"] {
        assert_eq!(folder.create(name).unwrap_err().kind(), ErrorKind::InvalidInput, "{name}");
        assert!(
            folder.stat(name).is_err() && folder.remove(name).is_err() && folder.rename(name, "x").is_err()
        );
    }
}

#[test]
fn a_file_is_its_makers_alone_and_takes_nobodys_place() {
    let (dir, folder) = folder();
    folder.create("new").unwrap();
    assert_eq!(fs::metadata(dir.path().join("new")).unwrap().permissions().mode() & 0o777, 0o600);
    symlink(dir.path().join("elsewhere"), dir.path().join("link")).unwrap();
    for name in ["new", "link"] {
        assert_eq!(folder.create(name).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_file_with_another_owner_or_name_is_not_ours() {
    let (dir, folder) = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(folder.own("file", OFlags::RDWR).unwrap().is_some());
    fs::hard_link(&file, dir.path().join("second")).unwrap();
    assert!(folder.own("file", OFlags::RDWR).unwrap().is_none());
    fs::remove_file(dir.path().join("second")).unwrap();
    if geteuid().is_root() {
        chown(&file, Some(65534), None).unwrap();
        assert!(folder.own("file", OFlags::RDWR).unwrap().is_none());
    }
}

#[test]
fn a_folder_stays_the_one_that_was_opened() {
    let (dir, _) = folder();
    let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
    fs::create_dir(&path).unwrap();
    let spot = Spot::find(&path.join("x")).unwrap().unwrap();
    fs::rename(&path, &moved).unwrap();
    symlink("/etc", &path).unwrap();
    let file = spot.folder.create(&spot.name).unwrap();
    assert!(moved.join("x").exists());
    assert_eq!(spot.whereabouts(Identity::of(&file).unwrap(), &file), Whereabouts::Moved);
    fs::remove_file(moved.join("x")).unwrap();
    assert_eq!(spot.whereabouts(Identity::of(&file).unwrap(), &file), Whereabouts::Removed);
}

#[test]
fn paths_lead_where_the_kernel_has_them_lead() {
    let (dir, _) = folder();
    let root = fs::canonicalize(dir.path()).unwrap();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/file"), "").unwrap();
    symlink("a/b", root.join("down")).unwrap();
    symlink("../file", root.join("a/b/up")).unwrap();
    symlink(root.join("down/up"), root.join("absolute")).unwrap();
    symlink("nothing", root.join("dangling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    let find = |path: &str| Spot::find(&root.join(path)).map(|spot| spot.unwrap().path());
    for path in ["a/file", "down/../file", "down/up", "absolute", "a/./b/../file"] {
        let found = [find(path).unwrap(), root.join(path)].map(|path| fs::canonicalize(path).unwrap());
        assert_eq!(found, [root.join("a/file"), root.join("a/file")], "{path}");
    }
    assert_eq!(find("dangling").unwrap(), root.join("nothing"));
    let kind = |path: &str| find(path).unwrap_err().raw_os_error().map(Errno::from_raw_os_error);
    assert_eq!(kind("loop"), Some(Errno::LOOP));
    assert_eq!(kind("no/x"), Some(Errno::NOENT));
    assert_eq!(kind(&format!("{}/x", "x".repeat(300))), Some(Errno::NAMETOOLONG));
    assert_eq!(kind("a/file/x"), Some(Errno::NOTDIR));
    assert_eq!(kind("x/"), Some(Errno::ISDIR));
    assert_eq!(Spot::find(Path::new("/")).unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(Spot::find(Path::new("x")).unwrap().unwrap().path(), Path::new("x"));
    assert!(Spot::find(Path::new("/proc/self/fd/0")).unwrap().is_none());
}

#[test]
fn links_of_others_are_not_followed() {
    if !geteuid().is_root() {
        return;
    }
    let (dir, _) = folder();
    fs::create_dir(dir.path().join("a")).unwrap();
    for (name, to) in [("dir", "a"), ("file", "a/x")] {
        symlink(to, dir.path().join(name)).unwrap();
        assert!(std::os::unix::fs::lchown(dir.path().join(name), Some(65534), None).is_ok());
    }
    for path in ["dir/x", "file"] {
        let error = Spot::find(&dir.path().join(path)).unwrap_err();
        assert!(error.to_string().contains("belongs to user 65534 and is not followed"), "{error}");
    }
    assert!(Folder::open(&dir.path().join("dir")).is_err());
    assert!(Folder::open(&dir.path().join("a")).is_ok());
}

#[test]
fn a_draft_takes_a_name_or_leaves_nothing() {
    let (dir, folder) = folder();
    let spot = Spot { folder: Arc::new(folder), name: "x".into() };
    // Something else has the first name already.
    symlink(dir.path().join("elsewhere"), dir.path().join("x.partial")).unwrap();
    let draft = Draft::beside(&spot).unwrap();
    assert!(dir.path().join("x.1.partial").exists());
    drop(draft);
    assert!(!dir.path().join("x.1.partial").exists());
    for content in ["first", "second"] {
        let draft = Draft::beside(&spot).unwrap();
        io::Write::write_all(&mut draft.file(), content.as_bytes()).unwrap();
        draft.replace(&spot.name).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("x")).unwrap(), content);
    }
    assert!(Draft::beside(&spot).unwrap().rename_new(&spot.name).is_err());
    let draft = Draft::beside(&spot).unwrap();
    fs::remove_file(dir.path().join("x.1.partial")).unwrap();
    fs::write(dir.path().join("x.1.partial"), "another").unwrap();
    assert_eq!(draft.replace(&spot.name).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_to_string(dir.path().join("x.1.partial")).unwrap(), "another");
    assert_eq!(fs::read_to_string(dir.path().join("x")).unwrap(), "second");
    assert!(!dir.path().join("elsewhere").exists());
}

/// The flags that a descriptor was opened with.
fn flags(file: impl AsFd) -> OFlags {
    let inherited = !rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC);
    assert!(!inherited, "commands that are run would inherit it");
    rustix::fs::fcntl_getfl(&file).unwrap()
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn what_is_opened_is_not_inherited_and_does_not_wait() {
    let (dir, folder) = folder();
    flags(&folder);
    let made = flags(folder.create("file").unwrap());
    assert!(made.contains(OFlags::WRONLY | OFlags::NOFOLLOW), "{made:?}");
    for access in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
        let opened = flags(folder.regular("file", access).unwrap().unwrap());
        assert_eq!(opened & OFlags::ACCMODE, access);
        assert!(opened.contains(OFlags::NOFOLLOW | OFlags::NONBLOCK), "{opened:?}");
    }
    fifo(&dir.path().join("fifo"));
    let _reader = rustix::fs::open(dir.path().join("fifo"), OFlags::RDWR, Mode::empty()).unwrap();
    let special = Special::find(dir.path().join("fifo")).unwrap().unwrap_err();
    let opened = flags(special.open(&|| true).unwrap().unwrap());
    assert_eq!(opened & OFlags::ACCMODE, OFlags::WRONLY);
    assert!(opened.contains(OFlags::NOFOLLOW | OFlags::NONBLOCK), "{opened:?}");
}

#[test]
fn whether_a_file_can_be_made_is_tried() {
    let (dir, folder) = folder();
    folder.can_create().unwrap();
    assert_eq!(folder.names().unwrap().count(), 0);
    let spot = Spot { folder: Arc::new(folder), name: "x".into() };
    fs::remove_dir(dir.path()).unwrap();
    assert!(spot.folder.can_create().is_err());
    assert_eq!(Draft::beside(&spot).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_second_name_replaces_nothing() {
    let (dir, folder) = folder();
    fs::write(dir.path().join("a"), "a").unwrap();
    folder.link("a", "b").unwrap();
    assert_eq!(
        fs::metadata(dir.path().join("b")).unwrap().ino(),
        fs::metadata(dir.path().join("a")).unwrap().ino()
    );
    fs::write(dir.path().join("c"), "c").unwrap();
    assert_eq!(folder.link("a", "c").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(dir.path().join("c")).unwrap(), "c");
}

#[test]
fn a_file_is_where_it_was_made_until_another_one_is_there() {
    let (dir, folder) = folder();
    let file = folder.create("x").unwrap();
    let spot = Spot { folder: Arc::new(folder), name: "x".into() };
    let whereabouts = || spot.whereabouts(Identity::of(&file).unwrap(), &file);
    assert_eq!(whereabouts(), Whereabouts::There);
    fs::rename(spot.path(), dir.path().join("y")).unwrap();
    assert_eq!(whereabouts(), Whereabouts::Moved);
    fs::write(spot.path(), "another").unwrap();
    assert_eq!(whereabouts(), Whereabouts::Moved);
}

#[test]
fn a_path_is_there_or_not() {
    let (dir, _) = folder();
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(is_there(&dir.path().join("file")));
    for path in ["nothing", "no/x", "file/x"] {
        assert!(!is_there(&dir.path().join(path)), "{path}");
    }
}

#[test]
fn a_file_has_one_lock() {
    let (dir, folder) = folder();
    let file = folder.create("x").unwrap();
    assert!(lock(&file));
    let other = File::open(dir.path().join("x")).unwrap();
    assert!(!lock(&other));
    drop(file);
    assert!(lock(&other));
}

#[test]
fn a_path_leads_to_a_files_place_or_to_something_else() {
    let (dir, _) = folder();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("dir")).unwrap();
    fifo(&path("fifo"));
    for name in ["file", "nothing"] {
        assert_eq!(Special::find(path(name)).unwrap().unwrap().path(), path(name));
    }
    assert_eq!(Special::find(path("dir")).unwrap_err().kind(), ErrorKind::IsADirectory);
    for special in [path("fifo"), "/dev/null".into()] {
        assert!(matches!(Special::find(special), Ok(Err(Special::At(_)))));
    }
    assert!(matches!(Special::find("/proc/self/fd/0".into()), Ok(Err(Special::Descriptor(_)))));
}

#[test]
fn only_a_pipes_reader_is_waited_for() {
    let (dir, _) = folder();
    fifo(&dir.path().join("fifo"));
    let pipe = Special::find(dir.path().join("fifo")).unwrap().unwrap_err();
    let looks = std::cell::Cell::new(0);
    let give_up = || looks.replace(looks.get() + 1) == 2;
    assert!(pipe.open(&give_up).unwrap().is_none());
    assert_eq!(looks.get(), 3);
    let reader = rustix::fs::open(dir.path().join("fifo"), OFlags::RDWR, Mode::empty()).unwrap();
    assert!(pipe.open(&|| true).unwrap().is_some());
    drop(reader);
    // By its name in /proc, too.
    let other_end =
        rustix::fs::open(dir.path().join("fifo"), OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    let descriptor = Special::Descriptor(format!("/proc/self/fd/{}", other_end.as_fd().as_raw_fd()).into());
    assert!(descriptor.open(&|| true).unwrap().is_some());
    assert!(Special::find("/dev/null".into()).unwrap().unwrap_err().open(&|| true).unwrap().is_some());
    // A socket never gets a reader.
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let socket = Special::find(dir.path().join("socket")).unwrap().unwrap_err();
    assert_eq!(
        socket.open(&|| panic!("it waits")).unwrap_err().raw_os_error(),
        Some(Errno::NXIO.raw_os_error())
    );
}

#[test]
fn pipes_of_others_are_not_written_to() {
    if !geteuid().is_root() {
        return;
    }
    let (dir, _) = folder();
    let (path, socket) = (dir.path().join("fifo"), dir.path().join("socket"));
    fifo(&path);
    let pipe = Special::find(path.clone()).unwrap().unwrap_err();
    chown(&path, Some(65534), None).unwrap();
    let refused = |error: io::Error| {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("65534"), "{error}");
    };
    refused(Special::find(path.clone()).unwrap_err());
    // It was swapped since it was looked at.
    let _reader = rustix::fs::open(&path, OFlags::RDWR, Mode::empty()).unwrap();
    refused(pipe.open(&|| true).unwrap_err());
    // What is no pipe gives nothing away.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    chown(&socket, Some(65534), None).unwrap();
    assert!(Special::find(socket).unwrap().is_err());
}
