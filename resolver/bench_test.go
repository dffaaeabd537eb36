package resolver

import (
	"context"
	"testing"

	"usersock/stack/endpoint"
)

func BenchmarkGetaddrinfoCached(b *testing.B) {
	l := newLab(b, nil)
	ctx := context.Background()
	l.lookup("www.example")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Getaddrinfo(ctx, "www.example", "80", 0, endpoint.SOCK_STREAM, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetaddrinfoLiteral(b *testing.B) {
	l := newLab(b, nil)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Getaddrinfo(ctx, "192.0.2.1", "80", 0, endpoint.SOCK_STREAM, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetaddrinfoAsked(b *testing.B) {
	l := newLab(b, func(c *Config) { c.CacheSize = -1 })
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Getaddrinfo(ctx, "www.example", "80", 0, endpoint.SOCK_STREAM, 0, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations: a lookup that needs no server allocates its result only.
func TestAllocations(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Hosts = "198.51.100.5 file\n" })
	l.lookup("www.example")
	for _, name := range []string{"192.0.2.1", "www.example"} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := l.Getaddrinfo(context.Background(), name, "80", 0, endpoint.SOCK_STREAM, 0, 0); err != nil {
				t.Fatal(err)
			}
		})
		if got > 1 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}
