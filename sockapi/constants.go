package sockapi

import "usersock/stack/endpoint"

// SOMAXCONN is the longest backlog, listen(2).
const SOMAXCONN = endpoint.SOMAXCONN

// Address families, socket(2).
const (
	AF_UNSPEC  = endpoint.AF_UNSPEC
	PF_UNSPEC  = endpoint.PF_UNSPEC
	AF_LOCAL   = endpoint.AF_LOCAL
	AF_UNIX    = endpoint.AF_UNIX
	PF_UNIX    = endpoint.PF_UNIX
	AF_INET    = endpoint.AF_INET
	PF_INET    = endpoint.PF_INET
	AF_INET6   = endpoint.AF_INET6
	PF_INET6   = endpoint.PF_INET6
	AF_NETLINK = endpoint.AF_NETLINK
	AF_ROUTE   = endpoint.AF_ROUTE
	PF_NETLINK = endpoint.PF_NETLINK
	AF_PACKET  = endpoint.AF_PACKET
)

// Socket types and the flags of their argument, socket(2).
const (
	SOCK_STREAM    = endpoint.SOCK_STREAM
	SOCK_DGRAM     = endpoint.SOCK_DGRAM
	SOCK_RAW       = endpoint.SOCK_RAW
	SOCK_RDM       = endpoint.SOCK_RDM
	SOCK_SEQPACKET = endpoint.SOCK_SEQPACKET
	SOCK_DCCP      = endpoint.SOCK_DCCP
	SOCK_PACKET    = endpoint.SOCK_PACKET
	SOCK_NONBLOCK  = endpoint.SOCK_NONBLOCK
	SOCK_CLOEXEC   = endpoint.SOCK_CLOEXEC
)

// Option levels, setsockopt(2).
const (
	SOL_IP      = endpoint.SOL_IP
	SOL_SOCKET  = endpoint.SOL_SOCKET
	SOL_TCP     = endpoint.SOL_TCP
	SOL_UDP     = endpoint.SOL_UDP
	SOL_IPV6    = endpoint.SOL_IPV6
	SOL_ICMPV6  = endpoint.SOL_ICMPV6
	SOL_UDPLITE = endpoint.SOL_UDPLITE
	SOL_RAW     = endpoint.SOL_RAW
	SOL_PACKET  = endpoint.SOL_PACKET
	SOL_NETLINK = endpoint.SOL_NETLINK
)

// IP protocol numbers, ip(7).
const (
	IPPROTO_HOPOPTS  = endpoint.IPPROTO_HOPOPTS
	IPPROTO_IP       = endpoint.IPPROTO_IP
	IPPROTO_ICMP     = endpoint.IPPROTO_ICMP
	IPPROTO_IGMP     = endpoint.IPPROTO_IGMP
	IPPROTO_IPIP     = endpoint.IPPROTO_IPIP
	IPPROTO_TCP      = endpoint.IPPROTO_TCP
	IPPROTO_EGP      = endpoint.IPPROTO_EGP
	IPPROTO_PUP      = endpoint.IPPROTO_PUP
	IPPROTO_UDP      = endpoint.IPPROTO_UDP
	IPPROTO_IDP      = endpoint.IPPROTO_IDP
	IPPROTO_TP       = endpoint.IPPROTO_TP
	IPPROTO_DCCP     = endpoint.IPPROTO_DCCP
	IPPROTO_IPV6     = endpoint.IPPROTO_IPV6
	IPPROTO_ROUTING  = endpoint.IPPROTO_ROUTING
	IPPROTO_FRAGMENT = endpoint.IPPROTO_FRAGMENT
	IPPROTO_RSVP     = endpoint.IPPROTO_RSVP
	IPPROTO_GRE      = endpoint.IPPROTO_GRE
	IPPROTO_ESP      = endpoint.IPPROTO_ESP
	IPPROTO_AH       = endpoint.IPPROTO_AH
	IPPROTO_ICMPV6   = endpoint.IPPROTO_ICMPV6
	IPPROTO_NONE     = endpoint.IPPROTO_NONE
	IPPROTO_DSTOPTS  = endpoint.IPPROTO_DSTOPTS
	IPPROTO_MTP      = endpoint.IPPROTO_MTP
	IPPROTO_BEETPH   = endpoint.IPPROTO_BEETPH
	IPPROTO_ENCAP    = endpoint.IPPROTO_ENCAP
	IPPROTO_PIM      = endpoint.IPPROTO_PIM
	IPPROTO_COMP     = endpoint.IPPROTO_COMP
	IPPROTO_SCTP     = endpoint.IPPROTO_SCTP
	IPPROTO_MH       = endpoint.IPPROTO_MH
	IPPROTO_UDPLITE  = endpoint.IPPROTO_UDPLITE
	IPPROTO_MPLS     = endpoint.IPPROTO_MPLS
	IPPROTO_ETHERNET = endpoint.IPPROTO_ETHERNET
	IPPROTO_RAW      = endpoint.IPPROTO_RAW
	IPPROTO_MPTCP    = endpoint.IPPROTO_MPTCP
)

// Options of level SOL_SOCKET, socket(7).
const (
	SO_EE_ORIGIN_NONE          = endpoint.SO_EE_ORIGIN_NONE
	SO_DEBUG                   = endpoint.SO_DEBUG
	SO_EE_ORIGIN_LOCAL         = endpoint.SO_EE_ORIGIN_LOCAL
	SO_EE_ORIGIN_ICMP          = endpoint.SO_EE_ORIGIN_ICMP
	SO_REUSEADDR               = endpoint.SO_REUSEADDR
	SO_EE_ORIGIN_ICMP6         = endpoint.SO_EE_ORIGIN_ICMP6
	SO_TYPE                    = endpoint.SO_TYPE
	SO_ERROR                   = endpoint.SO_ERROR
	SO_DONTROUTE               = endpoint.SO_DONTROUTE
	SO_BROADCAST               = endpoint.SO_BROADCAST
	SO_SNDBUF                  = endpoint.SO_SNDBUF
	SO_RCVBUF                  = endpoint.SO_RCVBUF
	SO_KEEPALIVE               = endpoint.SO_KEEPALIVE
	SO_OOBINLINE               = endpoint.SO_OOBINLINE
	SO_NO_CHECK                = endpoint.SO_NO_CHECK
	SO_PRIORITY                = endpoint.SO_PRIORITY
	SO_LINGER                  = endpoint.SO_LINGER
	SO_BSDCOMPAT               = endpoint.SO_BSDCOMPAT
	SO_REUSEPORT               = endpoint.SO_REUSEPORT
	SO_PASSCRED                = endpoint.SO_PASSCRED
	SO_PEERCRED                = endpoint.SO_PEERCRED
	SO_RCVLOWAT                = endpoint.SO_RCVLOWAT
	SO_SNDLOWAT                = endpoint.SO_SNDLOWAT
	SO_RCVTIMEO                = endpoint.SO_RCVTIMEO
	SO_SNDTIMEO                = endpoint.SO_SNDTIMEO
	SO_SECURITY_AUTHENTICATION = endpoint.SO_SECURITY_AUTHENTICATION
	SO_BINDTODEVICE            = endpoint.SO_BINDTODEVICE
	SO_ATTACH_FILTER           = endpoint.SO_ATTACH_FILTER
	SO_DETACH_FILTER           = endpoint.SO_DETACH_FILTER
	SO_PEERNAME                = endpoint.SO_PEERNAME
	SO_TIMESTAMP               = endpoint.SO_TIMESTAMP
	SO_ACCEPTCONN              = endpoint.SO_ACCEPTCONN
	SO_PEERSEC                 = endpoint.SO_PEERSEC
	SO_SNDBUFFORCE             = endpoint.SO_SNDBUFFORCE
	SO_RCVBUFFORCE             = endpoint.SO_RCVBUFFORCE
	SO_PASSSEC                 = endpoint.SO_PASSSEC
	SO_TIMESTAMPNS             = endpoint.SO_TIMESTAMPNS
	SO_MARK                    = endpoint.SO_MARK
	SO_TIMESTAMPING            = endpoint.SO_TIMESTAMPING
	SO_PROTOCOL                = endpoint.SO_PROTOCOL
	SO_DOMAIN                  = endpoint.SO_DOMAIN
	SO_RXQ_OVFL                = endpoint.SO_RXQ_OVFL
	SO_WIFI_STATUS             = endpoint.SO_WIFI_STATUS
	SO_PEEK_OFF                = endpoint.SO_PEEK_OFF
	SO_NOFCS                   = endpoint.SO_NOFCS
	SO_LOCK_FILTER             = endpoint.SO_LOCK_FILTER
	SO_SELECT_ERR_QUEUE        = endpoint.SO_SELECT_ERR_QUEUE
	SO_BUSY_POLL               = endpoint.SO_BUSY_POLL
	SO_MAX_PACING_RATE         = endpoint.SO_MAX_PACING_RATE
	SO_BPF_EXTENSIONS          = endpoint.SO_BPF_EXTENSIONS
	SO_INCOMING_CPU            = endpoint.SO_INCOMING_CPU
	SO_ATTACH_REUSEPORT_CBPF   = endpoint.SO_ATTACH_REUSEPORT_CBPF
	SO_ATTACH_REUSEPORT_EBPF   = endpoint.SO_ATTACH_REUSEPORT_EBPF
	SO_CNX_ADVICE              = endpoint.SO_CNX_ADVICE
	SO_MEMINFO                 = endpoint.SO_MEMINFO
	SO_INCOMING_NAPI_ID        = endpoint.SO_INCOMING_NAPI_ID
	SO_COOKIE                  = endpoint.SO_COOKIE
	SO_PEERGROUPS              = endpoint.SO_PEERGROUPS
	SO_ZEROCOPY                = endpoint.SO_ZEROCOPY
	SO_TXTIME                  = endpoint.SO_TXTIME
	SO_BINDTOIFINDEX           = endpoint.SO_BINDTOIFINDEX
	SO_DETACH_REUSEPORT_BPF    = endpoint.SO_DETACH_REUSEPORT_BPF
	SO_RCVMARK                 = endpoint.SO_RCVMARK
	SO_PASSPIDFD               = endpoint.SO_PASSPIDFD
	SO_PEERPIDFD               = endpoint.SO_PEERPIDFD
	SO_RCVPRIORITY             = endpoint.SO_RCVPRIORITY
	SO_PASSRIGHTS              = endpoint.SO_PASSRIGHTS
)

// Control message types of level SOL_SOCKET, unix(7).
const (
	SCM_RIGHTS      = endpoint.SCM_RIGHTS
	SCM_CREDENTIALS = endpoint.SCM_CREDENTIALS
	SCM_TIMESTAMP   = endpoint.SCM_TIMESTAMP
	SCM_TIMESTAMPNS = endpoint.SCM_TIMESTAMPNS
)

// Flags of send(2) and recv(2).
const (
	MSG_OOB          = endpoint.MSG_OOB
	MSG_PEEK         = endpoint.MSG_PEEK
	MSG_DONTROUTE    = endpoint.MSG_DONTROUTE
	MSG_TRYHARD      = endpoint.MSG_TRYHARD
	MSG_CTRUNC       = endpoint.MSG_CTRUNC
	MSG_PROXY        = endpoint.MSG_PROXY
	MSG_TRUNC        = endpoint.MSG_TRUNC
	MSG_DONTWAIT     = endpoint.MSG_DONTWAIT
	MSG_EOR          = endpoint.MSG_EOR
	MSG_WAITALL      = endpoint.MSG_WAITALL
	MSG_FIN          = endpoint.MSG_FIN
	MSG_SYN          = endpoint.MSG_SYN
	MSG_CONFIRM      = endpoint.MSG_CONFIRM
	MSG_RST          = endpoint.MSG_RST
	MSG_ERRQUEUE     = endpoint.MSG_ERRQUEUE
	MSG_NOSIGNAL     = endpoint.MSG_NOSIGNAL
	MSG_MORE         = endpoint.MSG_MORE
	MSG_WAITFORONE   = endpoint.MSG_WAITFORONE
	MSG_BATCH        = endpoint.MSG_BATCH
	MSG_ZEROCOPY     = endpoint.MSG_ZEROCOPY
	MSG_FASTOPEN     = endpoint.MSG_FASTOPEN
	MSG_CMSG_CLOEXEC = endpoint.MSG_CMSG_CLOEXEC
)

// Options of level IPPROTO_IP, ip(7).
const (
	IP_PMTUDISC_DONT          = endpoint.IP_PMTUDISC_DONT
	MCAST_EXCLUDE             = endpoint.MCAST_EXCLUDE
	IP_DEFAULT_MULTICAST_LOOP = endpoint.IP_DEFAULT_MULTICAST_LOOP
	IP_DEFAULT_MULTICAST_TTL  = endpoint.IP_DEFAULT_MULTICAST_TTL
	IP_PMTUDISC_WANT          = endpoint.IP_PMTUDISC_WANT
	IP_TOS                    = endpoint.IP_TOS
	MCAST_INCLUDE             = endpoint.MCAST_INCLUDE
	IP_PMTUDISC_DO            = endpoint.IP_PMTUDISC_DO
	IP_TTL                    = endpoint.IP_TTL
	IP_HDRINCL                = endpoint.IP_HDRINCL
	IP_PMTUDISC_PROBE         = endpoint.IP_PMTUDISC_PROBE
	IP_OPTIONS                = endpoint.IP_OPTIONS
	IP_PMTUDISC_INTERFACE     = endpoint.IP_PMTUDISC_INTERFACE
	IP_PMTUDISC_OMIT          = endpoint.IP_PMTUDISC_OMIT
	IP_ROUTER_ALERT           = endpoint.IP_ROUTER_ALERT
	IP_RECVOPTS               = endpoint.IP_RECVOPTS
	IP_RECVRETOPTS            = endpoint.IP_RECVRETOPTS
	IP_RETOPTS                = endpoint.IP_RETOPTS
	IP_PKTINFO                = endpoint.IP_PKTINFO
	IP_PKTOPTIONS             = endpoint.IP_PKTOPTIONS
	IP_MTU_DISCOVER           = endpoint.IP_MTU_DISCOVER
	IP_RECVERR                = endpoint.IP_RECVERR
	IP_RECVTTL                = endpoint.IP_RECVTTL
	IP_RECVTOS                = endpoint.IP_RECVTOS
	IP_MTU                    = endpoint.IP_MTU
	IP_FREEBIND               = endpoint.IP_FREEBIND
	IP_IPSEC_POLICY           = endpoint.IP_IPSEC_POLICY
	IP_XFRM_POLICY            = endpoint.IP_XFRM_POLICY
	IP_PASSSEC                = endpoint.IP_PASSSEC
	IP_TRANSPARENT            = endpoint.IP_TRANSPARENT
	IP_MAX_MEMBERSHIPS        = endpoint.IP_MAX_MEMBERSHIPS
	IP_ORIGDSTADDR            = endpoint.IP_ORIGDSTADDR
	IP_RECVORIGDSTADDR        = endpoint.IP_RECVORIGDSTADDR
	IP_MINTTL                 = endpoint.IP_MINTTL
	IP_NODEFRAG               = endpoint.IP_NODEFRAG
	IP_CHECKSUM               = endpoint.IP_CHECKSUM
	IP_BIND_ADDRESS_NO_PORT   = endpoint.IP_BIND_ADDRESS_NO_PORT
	IP_RECVFRAGSIZE           = endpoint.IP_RECVFRAGSIZE
	IP_RECVERR_RFC4884        = endpoint.IP_RECVERR_RFC4884
	IP_MULTICAST_IF           = endpoint.IP_MULTICAST_IF
	IP_MULTICAST_TTL          = endpoint.IP_MULTICAST_TTL
	IP_MULTICAST_LOOP         = endpoint.IP_MULTICAST_LOOP
	IP_ADD_MEMBERSHIP         = endpoint.IP_ADD_MEMBERSHIP
	IP_DROP_MEMBERSHIP        = endpoint.IP_DROP_MEMBERSHIP
	IP_UNBLOCK_SOURCE         = endpoint.IP_UNBLOCK_SOURCE
	IP_BLOCK_SOURCE           = endpoint.IP_BLOCK_SOURCE
	IP_ADD_SOURCE_MEMBERSHIP  = endpoint.IP_ADD_SOURCE_MEMBERSHIP
	IP_DROP_SOURCE_MEMBERSHIP = endpoint.IP_DROP_SOURCE_MEMBERSHIP
	IP_MSFILTER               = endpoint.IP_MSFILTER
	MCAST_JOIN_GROUP          = endpoint.MCAST_JOIN_GROUP
	MCAST_BLOCK_SOURCE        = endpoint.MCAST_BLOCK_SOURCE
	MCAST_UNBLOCK_SOURCE      = endpoint.MCAST_UNBLOCK_SOURCE
	MCAST_LEAVE_GROUP         = endpoint.MCAST_LEAVE_GROUP
	MCAST_JOIN_SOURCE_GROUP   = endpoint.MCAST_JOIN_SOURCE_GROUP
	MCAST_LEAVE_SOURCE_GROUP  = endpoint.MCAST_LEAVE_SOURCE_GROUP
	MCAST_MSFILTER            = endpoint.MCAST_MSFILTER
	IP_MULTICAST_ALL          = endpoint.IP_MULTICAST_ALL
	IP_UNICAST_IF             = endpoint.IP_UNICAST_IF
	IP_LOCAL_PORT_RANGE       = endpoint.IP_LOCAL_PORT_RANGE
	IP_PROTOCOL               = endpoint.IP_PROTOCOL
)

// Options of level IPPROTO_IPV6, ipv6(7).
const (
	IPV6_PMTUDISC_DONT        = endpoint.IPV6_PMTUDISC_DONT
	IPV6_RTHDR_TYPE_0         = endpoint.IPV6_RTHDR_TYPE_0
	IPV6_ADDRFORM             = endpoint.IPV6_ADDRFORM
	IPV6_PMTUDISC_WANT        = endpoint.IPV6_PMTUDISC_WANT
	IPV6_2292PKTINFO          = endpoint.IPV6_2292PKTINFO
	IPV6_PMTUDISC_DO          = endpoint.IPV6_PMTUDISC_DO
	IPV6_2292HOPOPTS          = endpoint.IPV6_2292HOPOPTS
	IPV6_PMTUDISC_PROBE       = endpoint.IPV6_PMTUDISC_PROBE
	IPV6_2292DSTOPTS          = endpoint.IPV6_2292DSTOPTS
	IPV6_PMTUDISC_INTERFACE   = endpoint.IPV6_PMTUDISC_INTERFACE
	IPV6_2292RTHDR            = endpoint.IPV6_2292RTHDR
	IPV6_PMTUDISC_OMIT        = endpoint.IPV6_PMTUDISC_OMIT
	IPV6_2292PKTOPTIONS       = endpoint.IPV6_2292PKTOPTIONS
	IPV6_CHECKSUM             = endpoint.IPV6_CHECKSUM
	IPV6_2292HOPLIMIT         = endpoint.IPV6_2292HOPLIMIT
	IPV6_NEXTHOP              = endpoint.IPV6_NEXTHOP
	IPV6_AUTHHDR              = endpoint.IPV6_AUTHHDR
	IPV6_FLOWINFO             = endpoint.IPV6_FLOWINFO
	IPV6_UNICAST_HOPS         = endpoint.IPV6_UNICAST_HOPS
	IPV6_MULTICAST_IF         = endpoint.IPV6_MULTICAST_IF
	IPV6_MULTICAST_HOPS       = endpoint.IPV6_MULTICAST_HOPS
	IPV6_MULTICAST_LOOP       = endpoint.IPV6_MULTICAST_LOOP
	IPV6_ADD_MEMBERSHIP       = endpoint.IPV6_ADD_MEMBERSHIP
	IPV6_JOIN_GROUP           = endpoint.IPV6_JOIN_GROUP
	IPV6_DROP_MEMBERSHIP      = endpoint.IPV6_DROP_MEMBERSHIP
	IPV6_LEAVE_GROUP          = endpoint.IPV6_LEAVE_GROUP
	IPV6_ROUTER_ALERT         = endpoint.IPV6_ROUTER_ALERT
	IPV6_MTU_DISCOVER         = endpoint.IPV6_MTU_DISCOVER
	IPV6_MTU                  = endpoint.IPV6_MTU
	IPV6_RECVERR              = endpoint.IPV6_RECVERR
	IPV6_V6ONLY               = endpoint.IPV6_V6ONLY
	IPV6_JOIN_ANYCAST         = endpoint.IPV6_JOIN_ANYCAST
	IPV6_LEAVE_ANYCAST        = endpoint.IPV6_LEAVE_ANYCAST
	IPV6_MULTICAST_ALL        = endpoint.IPV6_MULTICAST_ALL
	IPV6_ROUTER_ALERT_ISOLATE = endpoint.IPV6_ROUTER_ALERT_ISOLATE
	IPV6_RECVERR_RFC4884      = endpoint.IPV6_RECVERR_RFC4884
	IPV6_FLOWLABEL_MGR        = endpoint.IPV6_FLOWLABEL_MGR
	IPV6_FLOWINFO_SEND        = endpoint.IPV6_FLOWINFO_SEND
	IPV6_IPSEC_POLICY         = endpoint.IPV6_IPSEC_POLICY
	IPV6_XFRM_POLICY          = endpoint.IPV6_XFRM_POLICY
	IPV6_HDRINCL              = endpoint.IPV6_HDRINCL
	IPV6_RECVPKTINFO          = endpoint.IPV6_RECVPKTINFO
	IPV6_PKTINFO              = endpoint.IPV6_PKTINFO
	IPV6_RECVHOPLIMIT         = endpoint.IPV6_RECVHOPLIMIT
	IPV6_HOPLIMIT             = endpoint.IPV6_HOPLIMIT
	IPV6_RECVHOPOPTS          = endpoint.IPV6_RECVHOPOPTS
	IPV6_HOPOPTS              = endpoint.IPV6_HOPOPTS
	IPV6_RTHDRDSTOPTS         = endpoint.IPV6_RTHDRDSTOPTS
	IPV6_RECVRTHDR            = endpoint.IPV6_RECVRTHDR
	IPV6_RTHDR                = endpoint.IPV6_RTHDR
	IPV6_RECVDSTOPTS          = endpoint.IPV6_RECVDSTOPTS
	IPV6_DSTOPTS              = endpoint.IPV6_DSTOPTS
	IPV6_RECVPATHMTU          = endpoint.IPV6_RECVPATHMTU
	IPV6_PATHMTU              = endpoint.IPV6_PATHMTU
	IPV6_DONTFRAG             = endpoint.IPV6_DONTFRAG
	IPV6_RECVTCLASS           = endpoint.IPV6_RECVTCLASS
	IPV6_TCLASS               = endpoint.IPV6_TCLASS
	IPV6_AUTOFLOWLABEL        = endpoint.IPV6_AUTOFLOWLABEL
	IPV6_ADDR_PREFERENCES     = endpoint.IPV6_ADDR_PREFERENCES
	IPV6_MINHOPCOUNT          = endpoint.IPV6_MINHOPCOUNT
	IPV6_ORIGDSTADDR          = endpoint.IPV6_ORIGDSTADDR
	IPV6_RECVORIGDSTADDR      = endpoint.IPV6_RECVORIGDSTADDR
	IPV6_TRANSPARENT          = endpoint.IPV6_TRANSPARENT
	IPV6_UNICAST_IF           = endpoint.IPV6_UNICAST_IF
	IPV6_RECVFRAGSIZE         = endpoint.IPV6_RECVFRAGSIZE
	IPV6_FREEBIND             = endpoint.IPV6_FREEBIND
)

// Options of level IPPROTO_TCP, tcp(7).
const (
	TCP_NODELAY              = endpoint.TCP_NODELAY
	TCP_MAXSEG               = endpoint.TCP_MAXSEG
	TCP_CORK                 = endpoint.TCP_CORK
	TCP_KEEPIDLE             = endpoint.TCP_KEEPIDLE
	TCP_KEEPINTVL            = endpoint.TCP_KEEPINTVL
	TCP_KEEPCNT              = endpoint.TCP_KEEPCNT
	TCP_SYNCNT               = endpoint.TCP_SYNCNT
	TCP_LINGER2              = endpoint.TCP_LINGER2
	TCP_DEFER_ACCEPT         = endpoint.TCP_DEFER_ACCEPT
	TCP_WINDOW_CLAMP         = endpoint.TCP_WINDOW_CLAMP
	TCP_INFO                 = endpoint.TCP_INFO
	TCP_QUICKACK             = endpoint.TCP_QUICKACK
	TCP_CONGESTION           = endpoint.TCP_CONGESTION
	TCP_MD5SIG               = endpoint.TCP_MD5SIG
	TCP_COOKIE_TRANSACTIONS  = endpoint.TCP_COOKIE_TRANSACTIONS
	TCP_THIN_LINEAR_TIMEOUTS = endpoint.TCP_THIN_LINEAR_TIMEOUTS
	TCP_THIN_DUPACK          = endpoint.TCP_THIN_DUPACK
	TCP_USER_TIMEOUT         = endpoint.TCP_USER_TIMEOUT
	TCP_REPAIR               = endpoint.TCP_REPAIR
	TCP_REPAIR_QUEUE         = endpoint.TCP_REPAIR_QUEUE
	TCP_QUEUE_SEQ            = endpoint.TCP_QUEUE_SEQ
	TCP_REPAIR_OPTIONS       = endpoint.TCP_REPAIR_OPTIONS
	TCP_FASTOPEN             = endpoint.TCP_FASTOPEN
	TCP_TIMESTAMP            = endpoint.TCP_TIMESTAMP
	TCP_NOTSENT_LOWAT        = endpoint.TCP_NOTSENT_LOWAT
	TCP_CC_INFO              = endpoint.TCP_CC_INFO
	TCP_SAVE_SYN             = endpoint.TCP_SAVE_SYN
	TCP_SAVED_SYN            = endpoint.TCP_SAVED_SYN
	TCP_REPAIR_WINDOW        = endpoint.TCP_REPAIR_WINDOW
	TCP_FASTOPEN_CONNECT     = endpoint.TCP_FASTOPEN_CONNECT
	TCP_ULP                  = endpoint.TCP_ULP
	TCP_MD5SIG_EXT           = endpoint.TCP_MD5SIG_EXT
	TCP_FASTOPEN_KEY         = endpoint.TCP_FASTOPEN_KEY
	TCP_FASTOPEN_NO_COOKIE   = endpoint.TCP_FASTOPEN_NO_COOKIE
	TCP_ZEROCOPY_RECEIVE     = endpoint.TCP_ZEROCOPY_RECEIVE
	TCP_CM_INQ               = endpoint.TCP_CM_INQ
	TCP_INQ                  = endpoint.TCP_INQ
	TCP_TX_DELAY             = endpoint.TCP_TX_DELAY
)

// Options of udp(7) and udplite(7).
const (
	UDP_CORK           = endpoint.UDP_CORK
	UDPLITE_SEND_CSCOV = endpoint.UDPLITE_SEND_CSCOV
	UDPLITE_RECV_CSCOV = endpoint.UDPLITE_RECV_CSCOV
	UDP_ENCAP          = endpoint.UDP_ENCAP
	UDP_NO_CHECK6_TX   = endpoint.UDP_NO_CHECK6_TX
	UDP_NO_CHECK6_RX   = endpoint.UDP_NO_CHECK6_RX
	UDP_SEGMENT        = endpoint.UDP_SEGMENT
	UDP_GRO            = endpoint.UDP_GRO
)

// Options of icmp(7) and RFC 3542.
const (
	ICMP6_FILTER = endpoint.ICMP6_FILTER
	ICMP_FILTER  = endpoint.ICMP_FILTER
)

// How to shut down, shutdown(2).
const (
	SHUT_RD   = endpoint.SHUT_RD
	SHUT_WR   = endpoint.SHUT_WR
	SHUT_RDWR = endpoint.SHUT_RDWR
)

// IPv4 addresses and ports with a name.
const (
	INADDR_ANY             = endpoint.INADDR_ANY
	INET_ADDRSTRLEN        = endpoint.INET_ADDRSTRLEN
	INET6_ADDRSTRLEN       = endpoint.INET6_ADDRSTRLEN
	IPPORT_RESERVED        = endpoint.IPPORT_RESERVED
	IPPORT_USERRESERVED    = endpoint.IPPORT_USERRESERVED
	INADDR_LOOPBACK        = endpoint.INADDR_LOOPBACK
	INADDR_UNSPEC_GROUP    = endpoint.INADDR_UNSPEC_GROUP
	INADDR_ALLHOSTS_GROUP  = endpoint.INADDR_ALLHOSTS_GROUP
	INADDR_MAX_LOCAL_GROUP = endpoint.INADDR_MAX_LOCAL_GROUP
	INADDR_BROADCAST       = endpoint.INADDR_BROADCAST
	INADDR_NONE            = endpoint.INADDR_NONE
)

// getaddrinfo(3): flags and errors.
const (
	AI_PASSIVE      = endpoint.AI_PASSIVE
	EAI_BADFLAGS    = endpoint.EAI_BADFLAGS
	AI_CANONNAME    = endpoint.AI_CANONNAME
	EAI_NONAME      = endpoint.EAI_NONAME
	EAI_AGAIN       = endpoint.EAI_AGAIN
	AI_NUMERICHOST  = endpoint.AI_NUMERICHOST
	EAI_FAIL        = endpoint.EAI_FAIL
	EAI_NODATA      = endpoint.EAI_NODATA
	EAI_FAMILY      = endpoint.EAI_FAMILY
	EAI_SOCKTYPE    = endpoint.EAI_SOCKTYPE
	AI_V4MAPPED     = endpoint.AI_V4MAPPED
	EAI_SERVICE     = endpoint.EAI_SERVICE
	EAI_ADDRFAMILY  = endpoint.EAI_ADDRFAMILY
	EAI_MEMORY      = endpoint.EAI_MEMORY
	EAI_SYSTEM      = endpoint.EAI_SYSTEM
	EAI_OVERFLOW    = endpoint.EAI_OVERFLOW
	AI_ALL          = endpoint.AI_ALL
	AI_ADDRCONFIG   = endpoint.AI_ADDRCONFIG
	AI_IDN          = endpoint.AI_IDN
	EAI_INPROGRESS  = endpoint.EAI_INPROGRESS
	EAI_CANCELED    = endpoint.EAI_CANCELED
	EAI_NOTCANCELED = endpoint.EAI_NOTCANCELED
	EAI_ALLDONE     = endpoint.EAI_ALLDONE
	EAI_INTR        = endpoint.EAI_INTR
	EAI_IDN_ENCODE  = endpoint.EAI_IDN_ENCODE
	AI_CANONIDN     = endpoint.AI_CANONIDN
	AI_NUMERICSERV  = endpoint.AI_NUMERICSERV
)

// getnameinfo(3).
const (
	NI_NUMERICHOST = endpoint.NI_NUMERICHOST
	NI_NUMERICSERV = endpoint.NI_NUMERICSERV
	NI_NOFQDN      = endpoint.NI_NOFQDN
	NI_NAMEREQD    = endpoint.NI_NAMEREQD
	NI_DGRAM       = endpoint.NI_DGRAM
	NI_IDN         = endpoint.NI_IDN
	NI_MAXSERV     = endpoint.NI_MAXSERV
	NI_MAXHOST     = endpoint.NI_MAXHOST
)

// h_errno, gethostbyname(3).
const (
	NETDB_SUCCESS  = endpoint.NETDB_SUCCESS
	HOST_NOT_FOUND = endpoint.HOST_NOT_FOUND
	NETDB_INTERNAL = endpoint.NETDB_INTERNAL
	TRY_AGAIN      = endpoint.TRY_AGAIN
	NO_RECOVERY    = endpoint.NO_RECOVERY
	NO_DATA        = endpoint.NO_DATA
)

// Protocols and options of netlink(7).
const (
	NETLINK_ROUTE            = endpoint.NETLINK_ROUTE
	NETLINK_ADD_MEMBERSHIP   = endpoint.NETLINK_ADD_MEMBERSHIP
	NETLINK_DROP_MEMBERSHIP  = endpoint.NETLINK_DROP_MEMBERSHIP
	NETLINK_USERSOCK         = endpoint.NETLINK_USERSOCK
	NETLINK_FIREWALL         = endpoint.NETLINK_FIREWALL
	NETLINK_PKTINFO          = endpoint.NETLINK_PKTINFO
	NETLINK_BROADCAST_ERROR  = endpoint.NETLINK_BROADCAST_ERROR
	NETLINK_SOCK_DIAG        = endpoint.NETLINK_SOCK_DIAG
	NETLINK_NFLOG            = endpoint.NETLINK_NFLOG
	NETLINK_NO_ENOBUFS       = endpoint.NETLINK_NO_ENOBUFS
	NETLINK_XFRM             = endpoint.NETLINK_XFRM
	NETLINK_AUDIT            = endpoint.NETLINK_AUDIT
	NETLINK_LIST_MEMBERSHIPS = endpoint.NETLINK_LIST_MEMBERSHIPS
	NETLINK_CAP_ACK          = endpoint.NETLINK_CAP_ACK
	NETLINK_EXT_ACK          = endpoint.NETLINK_EXT_ACK
	NETLINK_GET_STRICT_CHK   = endpoint.NETLINK_GET_STRICT_CHK
	NETLINK_NETFILTER        = endpoint.NETLINK_NETFILTER
	NETLINK_IP6_FW           = endpoint.NETLINK_IP6_FW
	NETLINK_DNRTMSG          = endpoint.NETLINK_DNRTMSG
	NETLINK_KOBJECT_UEVENT   = endpoint.NETLINK_KOBJECT_UEVENT
	NETLINK_GENERIC          = endpoint.NETLINK_GENERIC
	NETLINK_CRYPTO           = endpoint.NETLINK_CRYPTO
)
