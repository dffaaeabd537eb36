//go:build unix

package main

import (
	"syscall"
	"time"
)

// processTime is the time that the processors have spent on this process, in it
// and in the kernel for it; both ends of every work are in this process.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
