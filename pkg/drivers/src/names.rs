//! What drivers are called on command lines and in files.

use skiff_driver::DriverKind;

use crate::SelectError;

/// What stands for `the first that works`.
pub const AUTO: &str = "auto";

/// All drivers, the preferred one first: a container starts faster than a virtual machine, and
/// hyperkit is no longer cared for by its makers.
pub(crate) const ORDER: [DriverKind; 3] = [DriverKind::Docker, DriverKind::Qemu, DriverKind::Hyperkit];

/// Other names that people have in their scripts.
const ALIASES: [(&str, DriverKind); 1] = [("qemu2", DriverKind::Qemu)];

/// The names, for a person.
pub(crate) fn list() -> String {
    ORDER.map(DriverKind::as_str).join(", ")
}

/// The driver of a name; [`AUTO`] is none.
pub(crate) fn parse(name: &str) -> Result<DriverKind, SelectError> {
    let own = ORDER.into_iter().map(|kind| (kind.as_str(), kind));
    let found = own.chain(ALIASES).find(|(known, _)| *known == name);
    found.map(|(_, kind)| kind).ok_or_else(|| SelectError::Unknown { name: name.to_owned() })
}

/// The name as it is stored: an alias becomes the driver's own name, all else stays.
#[must_use]
pub fn canonical(name: &str) -> &str {
    match parse(name) {
        Ok(kind) => kind.as_str(),
        Err(_) => name,
    }
}

/// Why there is no driver of that name, if there is none; whether it works is another question.
#[must_use]
pub fn unknown(name: &str) -> Option<SelectError> {
    if name == AUTO { None } else { parse(name).err() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_the_driver_it_stands_for() {
        assert_eq!(["qemu2", "qemu", "auto", "vagrant"].map(canonical), ["qemu", "qemu", "auto", "vagrant"]);
    }

    #[test]
    fn only_names_nobody_knows_are_unknown() {
        for name in ["docker", "qemu", "qemu2", "hyperkit", AUTO] {
            assert!(unknown(name).is_none(), "{name}");
        }
        let error = unknown("vagrant").unwrap();
        assert_eq!(error.to_string(), "there is no driver `vagrant`; the drivers are docker, qemu, hyperkit");
    }
}
