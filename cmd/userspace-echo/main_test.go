package main

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// TestDemo wants what the documents print, for each pair of programs.
func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(context.Background(), nil, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, &stdout, &stderr)
	}
	ports := regexp.MustCompile(`', \d+`)
	suites := regexp.MustCompile(`TLS_\w+`) // the processor decides
	var got []string
	for line := range strings.Lines(stdout.String()) {
		line = ports.ReplaceAllString(strings.TrimSpace(line), "', PORT")
		got = append(got, suites.ReplaceAllString(line, "SUITE"))
	}
	at := 0
	for _, want := range []string{
		"lookup: asked 192.0.2.2:53 (udp) for daring.cwi.nl A: 192.0.2.2",
		"Connected by ('192.0.2.1', PORT)",
		"Received 'Hello, world'",
		"lookup: asked 192.0.2.2:53 (udp) for daring.cwi.nl AAAA: 2001:db8::2",
		"Connected by ('192.0.2.1', PORT)",
		"Received 'Hello, world'",
		"lookup: asked [2001:db8::2]:53 (udp) for daring.cwi.nl AAAA: 2001:db8::2",
		"Connected by ('2001:db8::1', PORT, 0, 0)",
		"Received 'Hello, world'",
		"TLSv1.3, SUITE, ALPN echo",
		"Received 'Hello, world'",
		"Datagram from ('192.0.2.1', PORT)",
		"Received 'Hello, world'",
		"Every reply was right.",
	} {
		for ; at < len(got) && got[at] != want; at++ {
		}
		if at == len(got) {
			t.Fatalf("no line %q, or not in its place:\n%s", want, &stdout)
		}
		at++
	}
}

// TestDemoEnds: a demo that is interrupted ends, and does not claim success.
func TestDemoEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, nil, &stdout, &stderr); code != 1 || strings.Contains(stdout.String(), "Every reply") {
		t.Errorf("exit %d\n%s%s", code, &stdout, &stderr)
	}
}

// TestInterrupted: the error of a call that a signal cut short names both.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	failed := errors.New("failed")
	if err := interrupted(ctx, failed); err != failed {
		t.Errorf("before the signal: %v", err)
	}
	cancel(errors.New("a signal"))
	if err := interrupted(ctx, failed); !errors.Is(err, failed) || err.Error() != "a signal: failed" {
		t.Errorf("after the signal: %v", err)
	}
	if err := interrupted(ctx, nil); err != nil {
		t.Errorf("a success: %v", err)
	}
}

// TestCommandLine: wrong words end with 2 and say what is wrong, help with 0.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-h", 0, "Exit status"},
		{"serve -h", 0, "tun:NAME"},
		{"dial -h", 0, "-dns"},
		{"walk", 2, `unknown command "walk"`},
		{"serve", 2, "-link is missing"},
		{"serve -link tun:x", 2, "-addr is missing"},
		{"serve -link tun:x -addr 192.0.2.1", 2, "such as 192.0.2.2/24"},
		{"serve -link tun:x -addr 192.0.2.1/24 -port 0", 2, "1 to 65535"},
		{"serve -link tun:x -addr 192.0.2.1/24 -route 198.51.100.0/24", 2, "NETWORK=ROUTER"},
		{"serve -link tun:x -addr 192.0.2.1/24 -dns x", 2, "dns"},
		{"serve -link tun:x -addr 192.0.2.1/24 -debug 6060", 2, "such as 127.0.0.1:6060"},
		{"serve -link tun:x -addr 192.0.2.1/24 -debug 192.0.2.9:80", 2, "not a loopback address"},
		{"serve -h", 0, "certificate made on the spot"},
		{"dial -h", 0, "-insecure"},
		{"dial -link tun:x -addr 192.0.2.1/24", 2, "name or address of a host"},
		{"lookup -h", 0, "-json"},
		{"lookup", 2, "want one name"},
		{"lookup a b", 2, "want one name"},
		{"lookup -x daring.cwi.nl", 2, "want an address"},
		{"lookup -x fe80::1%1", 2, "without a zone"},
		{"lookup -port 53 daring.cwi.nl", 2, "-port"},
		{"lookup -dns 192.0.2.53 daring.cwi.nl", 2, "-dns needs -link"},
		{"lookup -link tun:x daring.cwi.nl", 2, "-addr is missing"},
		{"serve -link nothing:x -addr 192.0.2.1/24", 1, "tun:NAME"},
		{"serve -link tun:a-name-that-is-too-long -addr 192.0.2.1/24", 1, "15"},
		{"serve -link mem -addr 192.0.2.1/24", 1, "mem"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), &stdout, &stderr)
		if all := stdout.String() + stderr.String(); code != c.code || !strings.Contains(all, c.says) {
			t.Errorf("userspace-echo %s: exit %d, want %d and %q:\n%s", c.args, code, c.code, c.says, all)
		}
	}
}
