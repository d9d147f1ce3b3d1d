//! The controller daemon: holds the model and decides what becomes of each request.
