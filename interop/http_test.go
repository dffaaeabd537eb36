//go:build linux

package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/sockapi"
)

const fileSize = 50 << 20

// content is 50 MB that look random and are the same each time.
func content() io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte([]byte("fifty megabytes for curl to take"))), fileSize)
}

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if n, err := io.Copy(h, r); err != nil || n != fileSize {
		t.Fatalf("read %d bytes of %d: %v", n, fileSize, err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestCurl moves 50 MB each way between curl and net/http on our stack.
func TestCurl(t *testing.T) {
	each(t, []string{"curl"}, func(t *testing.T, n *sockapi.Net, ours, _ string) {
		l, err := n.Listen("tcp", net.JoinHostPort(ours, "80"))
		check(t, err)
		uploaded := make(chan string, 1)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /file", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(fileSize))
			io.Copy(w, content())
		})
		mux.HandleFunc("PUT /file", func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			if _, err := io.Copy(h, r.Body); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			uploaded <- hex.EncodeToString(h.Sum(nil))
		})
		server := &http.Server{Handler: mux}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		url := "http://" + net.JoinHostPort(ours, "80") + "/file"
		file := filepath.Join(t.TempDir(), "file")
		want := sum(t, content())
		netns.Run(t, "curl", "--noproxy", "*", "-sS", "--fail", "-o", file, url)
		f, err := os.Open(file)
		check(t, err)
		defer f.Close()
		if got := sum(t, f); got != want {
			t.Errorf("curl got sha256 %s, want %s", got, want)
		}
		netns.Run(t, "curl", "--noproxy", "*", "-sS", "--fail", "-T", file, url)
		if got := <-uploaded; got != want {
			t.Errorf("curl's upload has sha256 %s, want %s", got, want)
		}
		if strings.Contains(t.Name(), "/water/") == longPackets(t) {
			t.Error("long packets should pass every link but package water's")
		}
		check(t, server.Close())
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// longPackets reports whether most packets that the kernel sent and received by
// its interface were longer than the MTU: segments of up to 64 KiB.
func longPackets(t *testing.T) bool {
	t.Helper()
	type counts struct{ Bytes, Packets int }
	var links []struct {
		Mtu     int
		Stats64 struct{ Rx, Tx counts }
	}
	out := netns.Run(t, "ip", "-s", "-j", "link", "show", "dev", device)
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	l := links[0]
	t.Logf("MTU %d, %+v", l.Mtu, l.Stats64)
	long := func(c counts) bool { return c.Packets > 0 && c.Bytes/c.Packets > l.Mtu }
	return long(l.Stats64.Rx) && long(l.Stats64.Tx)
}
