package expvarstat_test

import (
	"encoding/json"
	"errors"
	"expvar"
	"net/http/httptest"
	"testing"

	"usersock/stack"
	"usersock/stack/endpoint"
	"usersock/stack/expvarstat"
)

// TestPublish reads /debug/vars before and after a socket is opened.
func TestPublish(t *testing.T) {
	s, err := stack.New(stack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := expvarstat.Publish("host", s); err != nil {
		t.Fatal(err)
	}
	if err := expvarstat.Publish("host", s); !errors.Is(err, endpoint.EEXIST) {
		t.Errorf("a name twice: %v", err)
	}
	if err := expvarstat.Publish("", s); !errors.Is(err, endpoint.EINVAL) {
		t.Errorf("no name: %v", err)
	}
	sockets := func() uint64 {
		t.Helper()
		w := httptest.NewRecorder()
		expvar.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/debug/vars", nil))
		var all struct{ Host map[string]uint64 }
		if err := json.Unmarshal(w.Body.Bytes(), &all); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		if len(all.Host) != len(s.Metrics()) {
			t.Errorf("%d of %d metrics", len(all.Host), len(s.Metrics()))
		}
		n, ok := all.Host[`usersock_sockets{protocol="tcp"}`]
		if !ok {
			t.Fatalf("no sockets in %v", all.Host)
		}
		return n
	}
	if n := sockets(); n != 0 {
		t.Errorf("%d sockets", n)
	}
	ep, err := s.Open(endpoint.AF_INET, endpoint.Request{Type: endpoint.SOCK_STREAM})
	if err != nil {
		t.Fatal(err)
	}
	if n := sockets(); n != 1 {
		t.Errorf("%d sockets, want 1", n)
	}
	ep.Close()
}
