package sockapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
)

// TestHTTP moves 100 MB each way between net/http's server and client, both
// unmodified.
func TestHTTP(t *testing.T) {
	size := int64(100 << 20)
	if testing.Short() || raceEnabled {
		size = 10 << 20
	}
	a, b := hosts(t)
	for _, address := range []string{"192.0.2.2:0", "[2001:db8::2]:0"} {
		l, err := b.Listen("tcp", address)
		check(t, err)
		served := make(chan error, 1)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sum := sha256.New()
			n, err := io.Copy(sum, r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("X-Sum", hex.EncodeToString(sum.Sum(nil)))
			w.Header().Set("X-Size", fmt.Sprint(n))
			io.Copy(w, noise(2, size))
		})}
		go func() { served <- server.Serve(l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: a.DialContext}}
		resp, err := client.Post("http://"+l.Addr().String()+"/", "application/octet-stream", noise(1, size))
		check(t, err)
		if got, want := resp.Header.Get("X-Sum"), sumOf(noise(1, size)); got != want {
			t.Errorf("%s: the server read %s bytes with the sum %s, want %s", address, resp.Header.Get("X-Size"), got, want)
		}
		sum := sha256.New()
		n, err := io.Copy(sum, resp.Body)
		resp.Body.Close()
		if got := hex.EncodeToString(sum.Sum(nil)); err != nil || n != size || got != sumOf(noise(2, size)) {
			t.Errorf("%s: the client read %d bytes, %v", address, n, err)
		}
		client.CloseIdleConnections()
		check(t, server.Shutdown(context.Background()))
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	}
}

// noise is a stream of random bytes from a seed.
func noise(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func sumOf(r io.Reader) string {
	sum := sha256.New()
	io.Copy(sum, r)
	return hex.EncodeToString(sum.Sum(nil))
}
