//go:build race

package sockapi_test

// raceEnabled says that the race detector is on: it makes sync.Pool drop
// things, so that allocations cannot be counted.
const raceEnabled = true
