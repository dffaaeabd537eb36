// Package unix is AF_UNIX in memory, behind the contract of package endpoint:
// SOCK_STREAM, SOCK_DGRAM and SOCK_SEQPACKET, with names, credentials and
// rights in flight, as unix(7) describes them and Linux does them. No file of
// the host is touched: the names, path names too, belong to one [Family].
//
// Start with [Family], then read the files in this order:
//
//   - family.go: opening, socketpair(2);
//   - names.go: the table of names, binding, autobind, unlinking;
//   - unix.go: the endpoint, its addresses and readiness;
//   - conn.go: listen, connect, accept, shutdown, close;
//   - transfer.go: sending and receiving, and the errors of each type;
//   - queue.go: where bytes and messages wait, with its theory of operation;
//   - scm.go: control items;
//   - options.go: the one table of socket options;
//   - list.go: the endpoints as ss(8) lists them.
//
// # What differs from Linux
//
//   - A path is a name and nothing else: there are no directories, links or
//     permissions, and two spellings of one path are two names.
//   - An address of another family is EAFNOSUPPORT instead of EINVAL.
//   - MSG_OOB is EOPNOTSUPP, as with CONFIG_AF_UNIX_OOB off.
//   - The send buffer of a stream counts bytes, not memory: its full size is
//     usable, and SIOCOUTQ tells bytes.
//   - Nothing here blocks, so what Linux decides by the mode of the call is
//     decided once. SO_RCVLOWAT holds back a stream's bytes from any call
//     (Linux: from blocking ones) and from In. A datagram endpoint that is shut
//     down for reading is at its end (Linux: EAGAIN for a call that does not
//     block).
//   - A peek at a stream gives the rights that came with its bytes; Linux's also
//     gives those of the next message that has any.
//   - A stream's receiver is not told the sender's address; it is the peer's.
//   - Endpoints that only rights in flight refer to, in a circle, are freed but
//     not closed: the family cannot see what a right stands for.
package unix
