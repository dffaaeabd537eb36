package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"usersock/stack"
)

// TestDebug reads every page of -debug.
func TestDebug(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at, end, err := debug(s, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) string {
		t.Helper()
		reply, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		text, err := io.ReadAll(reply.Body)
		if err != nil || reply.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, reply.Status, err)
		}
		return string(text)
	}
	for path, want := range map[string]string{
		"/":        "1: lo: <LOOPBACK,UP,LOWER_UP>",
		"/metrics": "# TYPE usersock_netstat_Tcp_CurrEstab gauge\nusersock_netstat_Tcp_CurrEstab 0\n",
	} {
		if got := get(path); !strings.Contains(got, want) {
			t.Errorf("%s has no %q:\n%s", path, want, got)
		}
	}
	var snap stack.Snapshot
	if err := json.Unmarshal([]byte(get("/snapshot")), &snap); err != nil || snap.Hostname != "localhost" {
		t.Errorf("/snapshot: %+v, %v", snap, err)
	}
	var vars struct{ Usersock map[string]uint64 }
	if err := json.Unmarshal([]byte(get("/debug/vars")), &vars); err != nil || len(vars.Usersock) < 50 {
		t.Errorf("/debug/vars: %d metrics, %v", len(vars.Usersock), err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := end(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + at); err == nil {
		t.Error("it still answers")
	}
}
