package endpoint

// The numbers of Linux, on every operating system: what CPython 3.11 shows of
// the families served here, and what Linux's own headers have besides. On
// architectures where Linux differs (MIPS, Alpha, SPARC) these are the common
// ones.

// SOMAXCONN is the longest backlog, listen(2).
const SOMAXCONN = 4096

// Address families, socket(2).
const (
	AF_UNSPEC  = 0
	PF_UNSPEC  = 0
	AF_LOCAL   = 1
	AF_UNIX    = 1
	PF_UNIX    = 1
	AF_INET    = 2
	PF_INET    = 2
	AF_INET6   = 10
	PF_INET6   = 10
	AF_NETLINK = 16
	AF_ROUTE   = 16
	PF_NETLINK = 16
	AF_PACKET  = 17
)

// Socket types and the flags of their argument, socket(2).
const (
	SOCK_STREAM    = 1
	SOCK_DGRAM     = 2
	SOCK_RAW       = 3
	SOCK_RDM       = 4
	SOCK_SEQPACKET = 5
	SOCK_DCCP      = 6
	SOCK_PACKET    = 10
	SOCK_NONBLOCK  = 0x800
	SOCK_CLOEXEC   = 0x80000
)

// Option levels, setsockopt(2).
const (
	SOL_IP      = 0
	SOL_SOCKET  = 1
	SOL_TCP     = 6
	SOL_UDP     = 17
	SOL_IPV6    = 41
	SOL_ICMPV6  = 58
	SOL_UDPLITE = 136
	SOL_RAW     = 255
	SOL_PACKET  = 263
	SOL_NETLINK = 270
)

// IP protocol numbers, ip(7).
const (
	IPPROTO_HOPOPTS  = 0
	IPPROTO_IP       = 0
	IPPROTO_ICMP     = 1
	IPPROTO_IGMP     = 2
	IPPROTO_IPIP     = 4
	IPPROTO_TCP      = 6
	IPPROTO_EGP      = 8
	IPPROTO_PUP      = 12
	IPPROTO_UDP      = 17
	IPPROTO_IDP      = 22
	IPPROTO_TP       = 29
	IPPROTO_DCCP     = 33
	IPPROTO_IPV6     = 41
	IPPROTO_ROUTING  = 43
	IPPROTO_FRAGMENT = 44
	IPPROTO_RSVP     = 46
	IPPROTO_GRE      = 47
	IPPROTO_ESP      = 50
	IPPROTO_AH       = 51
	IPPROTO_ICMPV6   = 58
	IPPROTO_NONE     = 59
	IPPROTO_DSTOPTS  = 60
	IPPROTO_MTP      = 92
	IPPROTO_BEETPH   = 94
	IPPROTO_ENCAP    = 98
	IPPROTO_PIM      = 103
	IPPROTO_COMP     = 108
	IPPROTO_SCTP     = 132
	IPPROTO_MH       = 135
	IPPROTO_UDPLITE  = 136
	IPPROTO_MPLS     = 137
	IPPROTO_ETHERNET = 143
	IPPROTO_RAW      = 255
	IPPROTO_MPTCP    = 262
)

// Options of level SOL_SOCKET, socket(7).
const (
	SO_EE_ORIGIN_NONE          = 0
	SO_DEBUG                   = 1
	SO_EE_ORIGIN_LOCAL         = 1
	SO_EE_ORIGIN_ICMP          = 2
	SO_REUSEADDR               = 2
	SO_EE_ORIGIN_ICMP6         = 3
	SO_TYPE                    = 3
	SO_ERROR                   = 4
	SO_DONTROUTE               = 5
	SO_BROADCAST               = 6
	SO_SNDBUF                  = 7
	SO_RCVBUF                  = 8
	SO_KEEPALIVE               = 9
	SO_OOBINLINE               = 10
	SO_NO_CHECK                = 11
	SO_PRIORITY                = 12
	SO_LINGER                  = 13
	SO_BSDCOMPAT               = 14
	SO_REUSEPORT               = 15
	SO_PASSCRED                = 16
	SO_PEERCRED                = 17
	SO_RCVLOWAT                = 18
	SO_SNDLOWAT                = 19
	SO_RCVTIMEO                = 20
	SO_SNDTIMEO                = 21
	SO_SECURITY_AUTHENTICATION = 22
	SO_BINDTODEVICE            = 25
	SO_ATTACH_FILTER           = 26
	SO_DETACH_FILTER           = 27
	SO_PEERNAME                = 28
	SO_TIMESTAMP               = 29
	SO_ACCEPTCONN              = 30
	SO_PEERSEC                 = 31
	SO_SNDBUFFORCE             = 32
	SO_RCVBUFFORCE             = 33
	SO_PASSSEC                 = 34
	SO_TIMESTAMPNS             = 35
	SO_MARK                    = 36
	SO_TIMESTAMPING            = 37
	SO_PROTOCOL                = 38
	SO_DOMAIN                  = 39
	SO_RXQ_OVFL                = 40
	SO_WIFI_STATUS             = 41
	SO_PEEK_OFF                = 42
	SO_NOFCS                   = 43
	SO_LOCK_FILTER             = 44
	SO_SELECT_ERR_QUEUE        = 45
	SO_BUSY_POLL               = 46
	SO_MAX_PACING_RATE         = 47
	SO_BPF_EXTENSIONS          = 48
	SO_INCOMING_CPU            = 49
	SO_ATTACH_REUSEPORT_CBPF   = 51
	SO_ATTACH_REUSEPORT_EBPF   = 52
	SO_CNX_ADVICE              = 53
	SO_MEMINFO                 = 55
	SO_INCOMING_NAPI_ID        = 56
	SO_COOKIE                  = 57
	SO_PEERGROUPS              = 59
	SO_ZEROCOPY                = 60
	SO_TXTIME                  = 61
	SO_BINDTOIFINDEX           = 62
	SO_DETACH_REUSEPORT_BPF    = 68
	SO_RCVMARK                 = 75
	SO_PASSPIDFD               = 76
	SO_PEERPIDFD               = 77
	SO_RCVPRIORITY             = 82
	SO_PASSRIGHTS              = 83
)

// Control message types of level SOL_SOCKET, unix(7).
const (
	SCM_RIGHTS      = 1
	SCM_CREDENTIALS = 2
	SCM_TIMESTAMP   = 29
	SCM_TIMESTAMPNS = 35
)

// Flags of send(2) and recv(2).
const (
	MSG_OOB          = 1
	MSG_PEEK         = 2
	MSG_DONTROUTE    = 4
	MSG_TRYHARD      = 4
	MSG_CTRUNC       = 8
	MSG_PROXY        = 16
	MSG_TRUNC        = 32
	MSG_DONTWAIT     = 64
	MSG_EOR          = 128
	MSG_WAITALL      = 256
	MSG_FIN          = 512
	MSG_SYN          = 0x400
	MSG_CONFIRM      = 0x800
	MSG_RST          = 0x1000
	MSG_ERRQUEUE     = 0x2000
	MSG_NOSIGNAL     = 0x4000
	MSG_MORE         = 0x8000
	MSG_WAITFORONE   = 0x10000
	MSG_BATCH        = 0x40000
	MSG_ZEROCOPY     = 0x4000000
	MSG_FASTOPEN     = 0x20000000
	MSG_CMSG_CLOEXEC = 0x40000000
)

// Options of level IPPROTO_IP, ip(7).
const (
	IP_PMTUDISC_DONT          = 0
	MCAST_EXCLUDE             = 0
	IP_DEFAULT_MULTICAST_LOOP = 1
	IP_DEFAULT_MULTICAST_TTL  = 1
	IP_PMTUDISC_WANT          = 1
	IP_TOS                    = 1
	MCAST_INCLUDE             = 1
	IP_PMTUDISC_DO            = 2
	IP_TTL                    = 2
	IP_HDRINCL                = 3
	IP_PMTUDISC_PROBE         = 3
	IP_OPTIONS                = 4
	IP_PMTUDISC_INTERFACE     = 4
	IP_PMTUDISC_OMIT          = 5
	IP_ROUTER_ALERT           = 5
	IP_RECVOPTS               = 6
	IP_RECVRETOPTS            = 7
	IP_RETOPTS                = 7
	IP_PKTINFO                = 8
	IP_PKTOPTIONS             = 9
	IP_MTU_DISCOVER           = 10
	IP_RECVERR                = 11
	IP_RECVTTL                = 12
	IP_RECVTOS                = 13
	IP_MTU                    = 14
	IP_FREEBIND               = 15
	IP_IPSEC_POLICY           = 16
	IP_XFRM_POLICY            = 17
	IP_PASSSEC                = 18
	IP_TRANSPARENT            = 19
	IP_MAX_MEMBERSHIPS        = 20
	IP_ORIGDSTADDR            = 20
	IP_RECVORIGDSTADDR        = 20
	IP_MINTTL                 = 21
	IP_NODEFRAG               = 22
	IP_CHECKSUM               = 23
	IP_BIND_ADDRESS_NO_PORT   = 24
	IP_RECVFRAGSIZE           = 25
	IP_RECVERR_RFC4884        = 26
	IP_MULTICAST_IF           = 32
	IP_MULTICAST_TTL          = 33
	IP_MULTICAST_LOOP         = 34
	IP_ADD_MEMBERSHIP         = 35
	IP_DROP_MEMBERSHIP        = 36
	IP_UNBLOCK_SOURCE         = 37
	IP_BLOCK_SOURCE           = 38
	IP_ADD_SOURCE_MEMBERSHIP  = 39
	IP_DROP_SOURCE_MEMBERSHIP = 40
	IP_MSFILTER               = 41
	MCAST_JOIN_GROUP          = 42
	MCAST_BLOCK_SOURCE        = 43
	MCAST_UNBLOCK_SOURCE      = 44
	MCAST_LEAVE_GROUP         = 45
	MCAST_JOIN_SOURCE_GROUP   = 46
	MCAST_LEAVE_SOURCE_GROUP  = 47
	MCAST_MSFILTER            = 48
	IP_MULTICAST_ALL          = 49
	IP_UNICAST_IF             = 50
	IP_LOCAL_PORT_RANGE       = 51
	IP_PROTOCOL               = 52
)

// Options of level IPPROTO_IPV6, ipv6(7).
const (
	IPV6_PMTUDISC_DONT        = 0
	IPV6_RTHDR_TYPE_0         = 0
	IPV6_ADDRFORM             = 1
	IPV6_PMTUDISC_WANT        = 1
	IPV6_2292PKTINFO          = 2
	IPV6_PMTUDISC_DO          = 2
	IPV6_2292HOPOPTS          = 3
	IPV6_PMTUDISC_PROBE       = 3
	IPV6_2292DSTOPTS          = 4
	IPV6_PMTUDISC_INTERFACE   = 4
	IPV6_2292RTHDR            = 5
	IPV6_PMTUDISC_OMIT        = 5
	IPV6_2292PKTOPTIONS       = 6
	IPV6_CHECKSUM             = 7
	IPV6_2292HOPLIMIT         = 8
	IPV6_NEXTHOP              = 9
	IPV6_AUTHHDR              = 10
	IPV6_FLOWINFO             = 11
	IPV6_UNICAST_HOPS         = 16
	IPV6_MULTICAST_IF         = 17
	IPV6_MULTICAST_HOPS       = 18
	IPV6_MULTICAST_LOOP       = 19
	IPV6_ADD_MEMBERSHIP       = 20
	IPV6_JOIN_GROUP           = 20
	IPV6_DROP_MEMBERSHIP      = 21
	IPV6_LEAVE_GROUP          = 21
	IPV6_ROUTER_ALERT         = 22
	IPV6_MTU_DISCOVER         = 23
	IPV6_MTU                  = 24
	IPV6_RECVERR              = 25
	IPV6_V6ONLY               = 26
	IPV6_JOIN_ANYCAST         = 27
	IPV6_LEAVE_ANYCAST        = 28
	IPV6_MULTICAST_ALL        = 29
	IPV6_ROUTER_ALERT_ISOLATE = 30
	IPV6_RECVERR_RFC4884      = 31
	IPV6_FLOWLABEL_MGR        = 32
	IPV6_FLOWINFO_SEND        = 33
	IPV6_IPSEC_POLICY         = 34
	IPV6_XFRM_POLICY          = 35
	IPV6_HDRINCL              = 36
	IPV6_RECVPKTINFO          = 49
	IPV6_PKTINFO              = 50
	IPV6_RECVHOPLIMIT         = 51
	IPV6_HOPLIMIT             = 52
	IPV6_RECVHOPOPTS          = 53
	IPV6_HOPOPTS              = 54
	IPV6_RTHDRDSTOPTS         = 55
	IPV6_RECVRTHDR            = 56
	IPV6_RTHDR                = 57
	IPV6_RECVDSTOPTS          = 58
	IPV6_DSTOPTS              = 59
	IPV6_RECVPATHMTU          = 60
	IPV6_PATHMTU              = 61
	IPV6_DONTFRAG             = 62
	IPV6_RECVTCLASS           = 66
	IPV6_TCLASS               = 67
	IPV6_AUTOFLOWLABEL        = 70
	IPV6_ADDR_PREFERENCES     = 72
	IPV6_MINHOPCOUNT          = 73
	IPV6_ORIGDSTADDR          = 74
	IPV6_RECVORIGDSTADDR      = 74
	IPV6_TRANSPARENT          = 75
	IPV6_UNICAST_IF           = 76
	IPV6_RECVFRAGSIZE         = 77
	IPV6_FREEBIND             = 78
)

// Options of level IPPROTO_TCP, tcp(7).
const (
	TCP_NODELAY              = 1
	TCP_MAXSEG               = 2
	TCP_CORK                 = 3
	TCP_KEEPIDLE             = 4
	TCP_KEEPINTVL            = 5
	TCP_KEEPCNT              = 6
	TCP_SYNCNT               = 7
	TCP_LINGER2              = 8
	TCP_DEFER_ACCEPT         = 9
	TCP_WINDOW_CLAMP         = 10
	TCP_INFO                 = 11
	TCP_QUICKACK             = 12
	TCP_CONGESTION           = 13
	TCP_MD5SIG               = 14
	TCP_COOKIE_TRANSACTIONS  = 15
	TCP_THIN_LINEAR_TIMEOUTS = 16
	TCP_THIN_DUPACK          = 17
	TCP_USER_TIMEOUT         = 18
	TCP_REPAIR               = 19
	TCP_REPAIR_QUEUE         = 20
	TCP_QUEUE_SEQ            = 21
	TCP_REPAIR_OPTIONS       = 22
	TCP_FASTOPEN             = 23
	TCP_TIMESTAMP            = 24
	TCP_NOTSENT_LOWAT        = 25
	TCP_CC_INFO              = 26
	TCP_SAVE_SYN             = 27
	TCP_SAVED_SYN            = 28
	TCP_REPAIR_WINDOW        = 29
	TCP_FASTOPEN_CONNECT     = 30
	TCP_ULP                  = 31
	TCP_MD5SIG_EXT           = 32
	TCP_FASTOPEN_KEY         = 33
	TCP_FASTOPEN_NO_COOKIE   = 34
	TCP_ZEROCOPY_RECEIVE     = 35
	TCP_CM_INQ               = 36
	TCP_INQ                  = 36
	TCP_TX_DELAY             = 37
)

// Options of udp(7) and udplite(7).
const (
	UDP_CORK           = 1
	UDPLITE_SEND_CSCOV = 10
	UDPLITE_RECV_CSCOV = 11
	UDP_ENCAP          = 100
	UDP_NO_CHECK6_TX   = 101
	UDP_NO_CHECK6_RX   = 102
	UDP_SEGMENT        = 103
	UDP_GRO            = 104
)

// Options of icmp(7) and RFC 3542.
const (
	ICMP6_FILTER = 1
	ICMP_FILTER  = 1
)

// How to shut down, shutdown(2).
const (
	SHUT_RD   = 0
	SHUT_WR   = 1
	SHUT_RDWR = 2
)

// IPv4 addresses and ports with a name.
const (
	INADDR_ANY             = 0
	INET_ADDRSTRLEN        = 16
	INET6_ADDRSTRLEN       = 46
	IPPORT_RESERVED        = 1024
	IPPORT_USERRESERVED    = 5000
	INADDR_LOOPBACK        = 0x7f000001
	INADDR_UNSPEC_GROUP    = 0xe0000000
	INADDR_ALLHOSTS_GROUP  = 0xe0000001
	INADDR_MAX_LOCAL_GROUP = 0xe00000ff
	INADDR_BROADCAST       = 0xffffffff
	INADDR_NONE            = 0xffffffff
)

// getaddrinfo(3): flags and errors.
const (
	AI_PASSIVE      = 1
	EAI_BADFLAGS    = -1
	AI_CANONNAME    = 2
	EAI_NONAME      = -2
	EAI_AGAIN       = -3
	AI_NUMERICHOST  = 4
	EAI_FAIL        = -4
	EAI_NODATA      = -5
	EAI_FAMILY      = -6
	EAI_SOCKTYPE    = -7
	AI_V4MAPPED     = 8
	EAI_SERVICE     = -8
	EAI_ADDRFAMILY  = -9
	EAI_MEMORY      = -10
	EAI_SYSTEM      = -11
	EAI_OVERFLOW    = -12
	AI_ALL          = 16
	AI_ADDRCONFIG   = 32
	AI_IDN          = 64
	EAI_INPROGRESS  = -100
	EAI_CANCELED    = -101
	EAI_NOTCANCELED = -102
	EAI_ALLDONE     = -103
	EAI_INTR        = -104
	EAI_IDN_ENCODE  = -105
	AI_CANONIDN     = 128
	AI_NUMERICSERV  = 0x400
)

// getnameinfo(3).
const (
	NI_NUMERICHOST = 1
	NI_NUMERICSERV = 2
	NI_NOFQDN      = 4
	NI_NAMEREQD    = 8
	NI_DGRAM       = 16
	NI_IDN         = 32
	NI_MAXSERV     = 32
	NI_MAXHOST     = 1025
)

// h_errno, gethostbyname(3).
const (
	NETDB_SUCCESS  = 0
	HOST_NOT_FOUND = 1
	NETDB_INTERNAL = -1
	TRY_AGAIN      = 2
	NO_RECOVERY    = 3
	NO_DATA        = 4
)

// Protocols and options of netlink(7).
const (
	NETLINK_ROUTE            = 0
	NETLINK_ADD_MEMBERSHIP   = 1
	NETLINK_DROP_MEMBERSHIP  = 2
	NETLINK_USERSOCK         = 2
	NETLINK_FIREWALL         = 3
	NETLINK_PKTINFO          = 3
	NETLINK_BROADCAST_ERROR  = 4
	NETLINK_SOCK_DIAG        = 4
	NETLINK_NFLOG            = 5
	NETLINK_NO_ENOBUFS       = 5
	NETLINK_XFRM             = 6
	NETLINK_AUDIT            = 9
	NETLINK_LIST_MEMBERSHIPS = 9
	NETLINK_CAP_ACK          = 10
	NETLINK_EXT_ACK          = 11
	NETLINK_GET_STRICT_CHK   = 12
	NETLINK_NETFILTER        = 12
	NETLINK_IP6_FW           = 13
	NETLINK_DNRTMSG          = 14
	NETLINK_KOBJECT_UEVENT   = 15
	NETLINK_GENERIC          = 16
	NETLINK_CRYPTO           = 21
)
