//! AnyDriver and the order of detection: the one crate that names all drivers.
