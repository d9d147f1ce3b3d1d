//! The unit agent: decides which hook of a unit runs next, runs it, and serves its hook tools.
