//! A session: what a client has beyond the socket that it uses at the moment.
