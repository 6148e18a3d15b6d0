//! Who is asking: the identity in a client certificate.
