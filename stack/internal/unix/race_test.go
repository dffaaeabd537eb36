//go:build race

package unix

// raceEnabled: the race detector makes sync.Pool drop things at random, and
// large tables slow.
const raceEnabled = true
