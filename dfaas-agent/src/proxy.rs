//! HAProxy: the data plane for everything the kernel does not steer.
