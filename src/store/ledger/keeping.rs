//! What is said again before an old log file goes.
