//! The FaaS platform that runs the functions of this node.
