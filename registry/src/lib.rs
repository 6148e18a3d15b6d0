//! OCI distribution server and pulling client.
