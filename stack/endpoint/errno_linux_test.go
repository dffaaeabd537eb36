//go:build !(mips || mipsle || mips64 || mips64le)

package endpoint

import (
	"syscall"
	"testing"
)

// TestErrnoAgainstLinux: on Linux the numbers are the kernel's, the texts are
// those of Go's table (glibc's, with the first letter in lower case) and no
// number that the kernel has is missing.
func TestErrnoAgainstLinux(t *testing.T) {
	for n := 1; n < 134; n++ {
		host := syscall.Errno(n)
		e := Errno(n)
		mapped, known := hostErrno[e]
		named := e.info().name != ""
		if named != known && e != EHWPOISON { // which package syscall lacks
			t.Errorf("%d: name %q, known on this host: %v", n, e.Name(), known)
		}
		if known && mapped != host {
			t.Errorf("%s is %d here and %d on the host", e.Name(), n, int(mapped))
		}
		if !known {
			continue
		}
		if fold(e.Error()) != fold(host.Error()) {
			t.Errorf("%s: text %q, the host's is %q", e.Name(), e.Error(), host.Error())
		}
	}
}

// fold makes ASCII capitals small.
func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
