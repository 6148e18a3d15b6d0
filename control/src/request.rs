//! What a request asks for, read off its method, path and query.
