//! The API server and the controllers.
