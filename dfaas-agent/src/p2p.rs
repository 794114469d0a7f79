//! The overlay: who the other nodes are, and what they tell each other.
