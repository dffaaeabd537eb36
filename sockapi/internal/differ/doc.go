// Package differ is the differential suite of the socket calls: one driver
// plays the same sequences of calls on sockets of the Linux kernel and on ours
// (package sockapi over a stack), and compares results, errnos, bytes,
// addresses and what poll(2) says of every open socket after every call. It is
// a package of tests alone; the library does not import it.
//
//	sockets_test.go       the calls, as both sides offer them
//	kernel_linux_test.go  the kernel's, by raw system calls
//	ours_test.go          ours
//	script_test.go        a sequence while it is played, and what it writes down
//	calls_test.go         the calls that it makes
//	error_calls_test.go   those of sequences about errors
//	golden_test.go        the kernel's answers in testdata/*.txt; the comparison
//	differences_test.go   the differences that are known, each with its reason
//	message_test.go       sendmsg and recvmsg
//	options_test.go       the options by name
//	wire_test.go          a TCP peer that is scripted packet by packet
//	netns_linux_test.go   the namespaces that the tests run in
//	seq_*_test.go         the sequences
//	generate*_test.go     sequences from a seed
//	generated_test.go     how they are played, and the search for the shortest
//
// # How it is played
//
// The kernel is asked where it can be: on Linux, in a user and network
// namespace that TestMain makes. Its answers must be those of the golden files.
// Ours must be those of the golden files too, but for the lines that
// differences_test.go lists; a listed line that no longer differs fails.
//
// No step waits for time to pass, but for those that have to find that nothing
// comes. Sockets are non-blocking unless a sequence says otherwise. After each call
// the side that is played is asked for its readiness until it is the expected
// one, at most for patience; a call that answers EAGAIN where another answer is
// expected is made again in the same way. So a side may be slow, but not wrong.
// Several golden files are played at a time, since most of the time they wait.
//
// # What is normalised
//
// Ports that a side picked are named p1, p2, … in the order in which they are
// seen, names that autobind picked auto1, auto2, …, the folder of AF_UNIX paths
// is D, and this process is PID. Nothing else.
package differ
