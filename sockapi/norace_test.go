//go:build !race

package sockapi_test

const raceEnabled = false
