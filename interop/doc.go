// Package interop tries this project against what it did not write: the Linux
// kernel's TCP/IP through a TUN interface, and programs such as python3, curl,
// nginx, ping and openssl on the kernel's side.
//
// It has tests alone. They run in a user and network namespace of their own,
// made by package netns, so that nothing of the host's network is touched and no
// privilege is needed, and are skipped, with the reason, where something is
// missing. USERSOCK_MUST_RUN=1 makes a skipped test a failed one.
//
// It is a module of its own so that who imports the library gets none of what
// these tests need.
package interop
