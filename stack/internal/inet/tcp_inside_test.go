package inet

import "testing"

// Netstack keeps what is read of its connections where it is looked for.
func TestInsideIsThere(t *testing.T) {
	for name, index := range map[string][]int{"used": sendUsed, "sender": sender, "una": senderUna, "next": senderNext, "attempt": attempt, "iss": attemptISS,
		"receiver": receiver, "closed": receiverClosed, "state": attemptState} {
		if index == nil {
			t.Errorf("netstack keeps %s elsewhere", name)
		}
	}
	if fieldOf[socket]("nothing") != nil || fieldOf[tcpEndpoint]("live", "no such") != nil {
		t.Error("a field that there is not has a place")
	}
}
