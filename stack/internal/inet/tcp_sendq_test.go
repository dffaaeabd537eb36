package inet

import "testing"

// Netstack keeps the numbers of a send queue where they are looked for.
func TestSendQueueIsThere(t *testing.T) {
	for name, index := range map[string][]int{"used": sendUsed, "sender": sender, "una": senderUna, "next": senderNext, "attempt": attempt, "iss": attemptISS} {
		if index == nil {
			t.Errorf("netstack keeps %s elsewhere", name)
		}
	}
	if fieldOf[socket]("nothing") != nil || fieldOf[tcpEndpoint]("live", "no such") != nil {
		t.Error("a field that there is not has a place")
	}
}
