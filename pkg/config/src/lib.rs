//! The cluster file, the validated ClusterSpec and every version pin.
