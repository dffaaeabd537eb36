package differ

import (
	"slices"

	"usersock/stack/endpoint"
)

// themes are all sequences.
func themes() []theme {
	return []theme{
		{"sockets", socketSequences()},
		{"tcp4", over("tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, streamSequences)},
		{"tcp6", over("tcp6", endpoint.AF_INET6, endpoint.SOCK_STREAM, streamSequences)},
		{"states4", over("states4", endpoint.AF_INET, endpoint.SOCK_STREAM, stateSequences())},
		{"states6", over("states6", endpoint.AF_INET6, endpoint.SOCK_STREAM, stateSequences())},
		{"states46", mappedOver("states46", stateSequences(addressCalls...))},
		{"wire4", over("wire4", endpoint.AF_INET, endpoint.SOCK_STREAM, slices.Concat(wireSequences, queueSequences, errorSequences, errorSequences4, hopSequences))},
		{"wire6", over("wire6", endpoint.AF_INET6, endpoint.SOCK_STREAM, slices.Concat(wireSequences, queueSequences, errorSequences, hopSequences))},
		{"neighbour", slices.Concat(
			over("neighbour/4", endpoint.AF_INET, 0, neighbourSequences),
			over("neighbour/6", endpoint.AF_INET6, 0, neighbourSequences))},
		{"bind", bindSequences()},
		{"udp4", over("udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, slices.Concat(datagramSequences, costSequences))},
		{"udp6", over("udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, slices.Concat(datagramSequences, costSequences))},
		{"dual", over("dual", endpoint.AF_INET6, endpoint.SOCK_STREAM, slices.Concat(dualSequences, dualErrors))},
		{"control4", over("control4", endpoint.AF_INET, endpoint.SOCK_DGRAM, ancillarySequences)},
		{"control6", over("control6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, ancillarySequences)},
		{"raw4", over("raw4", endpoint.AF_INET, endpoint.SOCK_RAW, slices.Concat(rawSequences, costSequences))},
		{"raw6", over("raw6", endpoint.AF_INET6, endpoint.SOCK_RAW, slices.Concat(rawSequences, costSequences))},
		{"unix-stream", over("unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, slices.Concat(unixEvery, urgentPrograms()))},
		{"unix-seqpacket", over("unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, unixEvery)},
		{"unix-dgram", over("unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, slices.Concat(unixEvery, unixDatagrams))},
		{"messages", slices.Concat(
			over("messages/tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, netMessages),
			over("messages/udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, netMessages),
			over("messages/udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, netMessages),
			over("messages/unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, slices.Concat(messageSequences, itemSequences, flightSequences)),
			over("messages/unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, slices.Concat(messageSequences, itemSequences, flightSequences)),
			over("messages/unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, slices.Concat(messageSequences, itemSequences, flightSequences)))},
		{"modes", slices.Concat(
			over("modes/tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, modeSequences),
			over("modes/udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, modeSequences),
			over("modes/unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, modeSequences),
			over("modes/unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, modeSequences),
			over("modes/unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, modeSequences))},
		{"options", optionSequences()},
		{"control", slices.Concat(
			over("control/tcp4", endpoint.AF_INET, endpoint.SOCK_STREAM, controlSequences),
			over("control/udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, controlSequences),
			over("control/udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, controlSequences),
			over("control/unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, controlSequences),
			over("control/unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, controlSequences),
			over("control/unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, controlSequences),
			over("packet/udp4", endpoint.AF_INET, endpoint.SOCK_DGRAM, packetSequences),
			over("packet/udp6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, packetSequences),
			over("echo4", endpoint.AF_INET, endpoint.SOCK_DGRAM, echoSequences),
			over("echo6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, echoSequences),
			over("urgent/unix-stream", endpoint.AF_UNIX, endpoint.SOCK_STREAM, urgentSequences),
			over("urgent/unix-seqpacket", endpoint.AF_UNIX, endpoint.SOCK_SEQPACKET, urgentSequences),
			over("urgent/unix-dgram", endpoint.AF_UNIX, endpoint.SOCK_DGRAM, urgentSequences))},
		{"groups", groupSequences()},
		{"accepted", acceptedSequences},
		{"cases", caseSequences()},
		{"sources", slices.Concat(
			over("sources/4", endpoint.AF_INET, endpoint.SOCK_DGRAM, sourceSequences),
			over("sources/4", endpoint.AF_INET, endpoint.SOCK_DGRAM, routerSequences),
			over("sources/6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, sourceSequences6),
			over("sources/6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, routerSequences),
			over("sources/4", endpoint.AF_INET, endpoint.SOCK_DGRAM, noPortSequences),
			over("sources/6", endpoint.AF_INET6, endpoint.SOCK_DGRAM, noPortSequences))},
	}
}

// over gives sequences a family and a type.
func over(prefix string, af, typ int, qs []sequence) []sequence {
	out := make([]sequence, 0, len(qs))
	for _, q := range qs {
		q.name, q.af, q.typ = prefix+"/"+q.name, af, typ
		out = append(out, q)
	}
	return out
}

// mappedOver gives sequences AF_INET6 sockets and IPv4-mapped addresses.
func mappedOver(prefix string, qs []sequence) []sequence {
	qs = over(prefix, endpoint.AF_INET6, endpoint.SOCK_STREAM, qs)
	for i := range qs {
		qs[i].mapped = true
	}
	return qs
}

const (
	peek    = endpoint.MSG_PEEK
	trunc   = endpoint.MSG_TRUNC
	oob     = endpoint.MSG_OOB
	waitall = endpoint.MSG_WAITALL
	more    = endpoint.MSG_MORE
	eor     = endpoint.MSG_EOR
	errq    = endpoint.MSG_ERRQUEUE
)

const (
	rd   = endpoint.SHUT_RD
	wr   = endpoint.SHUT_WR
	rdwr = endpoint.SHUT_RDWR
)

// unixEvery are played over every type of AF_UNIX, also where they make little
// sense: the errors have to be the same.
var unixEvery = slices.Concat(unixSequences, unixListening, halves(), oobSequences, bufferSequences)

// streamSequences are about TCP over lo.
var streamSequences = slices.Concat(streamEnds, streamBeginnings, streamAgain, streamData)
