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
//   - transfer.go, receive.go: sending and receiving, and the errors of each type;
//   - queue.go, copy.go: where bytes and messages wait, with its theory of operation;
//   - urgent.go: MSG_OOB on streams;
//   - cost.go, room.go: what limits a sender: its buffer, and a full queue;
//   - scm.go: control items;
//   - flight.go: rights in flight, and the collector of those that nobody can
//     receive any more, with its theory of operation;
//   - options.go: the one table of socket options;
//   - list.go: the endpoints as ss(8) lists them.
//
// # What differs from Linux
//
//   - A path is a name and nothing else: there are no directories, links or
//     permissions, and two spellings of one path are two names.
//   - An address of another family is EAFNOSUPPORT instead of EINVAL.
//   - The memory that a message takes is that of a 64-bit kernel with pages of
//     4 KiB on every machine; Queued tells bytes.
//   - Circles of endpoints in each other's queues are closed at once, not when
//     the next endpoint closes.
//   - Any positive number is a process, for SCM_CREDENTIALS of user 0.
package unix
