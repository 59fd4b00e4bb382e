//! The driver contract on the hyperkit driver, with a stand-in that runs no guest.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use skiff_driver::contract::Subject;
use skiff_driver_hyperkit::{HyperkitDriver, Options, Platform};

/// A program in a folder that calls the stand-in with what it has to know.
fn stand_in(folder: &Path) -> PathBuf {
    let (program, leases) = (folder.join("hyperkit"), folder.join("leases"));
    let text = format!(
        "#!/bin/sh\nexport STANDIN_GUEST=none STANDIN_LEASES={}\nexec {} \"$@\"\n",
        leases.display(),
        env!("CARGO_BIN_EXE_hyperkit"),
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

fn subject() -> Subject<HyperkitDriver> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (rootfs, kit) = (path.join("rootfs.tar"), path.join("kit"));
    fs::create_dir(&kit).unwrap();
    for archive in [&rootfs, &kit.join("modules.tar")] {
        fs::write(archive, [0; 1024]).unwrap();
    }
    for file in ["vmlinuz", "initrd"] {
        fs::write(kit.join(file), "").unwrap();
    }
    let attendant = vec![env!("CARGO_BIN_EXE_attendant").into()];
    let options = Options {
        program: Some(stand_in(path)),
        leases: path.join("leases"),
        platform: Some(Platform::intel_mac()),
        lease_patience: Duration::from_secs(30),
        stop_patience: Duration::from_secs(10),
        ..Options::new(path.join("machines"), kit, attendant)
    };
    Subject { driver: HyperkitDriver::new(options), rootfs, folder }
}

skiff_driver::driver_contract!(async { subject() });
