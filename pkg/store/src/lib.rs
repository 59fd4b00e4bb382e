//! Files under the skiff home: profiles, keys, locks, atomic writes.
