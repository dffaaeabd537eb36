package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"usersock/stack"
	"usersock/stack/expvarstat"
)

// debugAddr checks the address of -debug: the machine's own loopback alone,
// because whoever reads there sees every socket.
func debugAddr(text string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return at, fmt.Errorf("want an address and a port, such as 127.0.0.1:6060: %w", err)
	}
	if !at.Addr().IsLoopback() {
		return at, fmt.Errorf("%v is not a loopback address such as 127.0.0.1", at.Addr())
	}
	return at, nil
}

// debug serves what the stack is doing by HTTP on a port of the machine. It
// returns the address, and what ends it.
func debug(s *stack.Stack, at netip.AddrPort) (string, func() error, error) {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return "", nil, fmt.Errorf("-debug: %w", err)
	}
	server := &http.Server{Handler: debugHandler(s)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	return l.Addr().String(), func() error {
		err := server.Close()
		if serr := <-ended; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
		return err
	}, nil
}

func debugHandler(s *stack.Stack) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, s.Snapshot())
	})
	mux.HandleFunc("GET /snapshot", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(s.Snapshot()) // fails only if the reader has gone
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_ = stack.WriteMetrics(w, s.Metrics())
	})
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"usersock\": %s}\n", expvarstat.Var(s))
	})
	return mux
}
