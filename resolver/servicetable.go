package resolver

// serviceText is the embedded services database in the form of services(5),
// with several protocols on a line. Its facts are those of IANA's Service
// Name and Transport Protocol Port Number Registry (RFC 6335) and, for the
// names that BSD and its heirs gave to ports (shell, exec, biff, ...), common
// use. The order is that of ports; at one port the first row names it.
const serviceText = `
tcpmux 1/tcp
rtmp 1/ddp
nbp 2/ddp
zip 6/ddp
echo 7/tcp,udp
discard 9/tcp,udp sink null
systat 11/tcp users
daytime 13/tcp,udp
netstat 15/tcp
qotd 17/tcp quote
chargen 19/tcp,udp ttytst source
ftp-data 20/tcp
ftp 21/tcp
fsp 21/udp fspd
ssh 22/tcp
telnet 23/tcp
smtp 25/tcp mail
time 37/tcp,udp timserver
rlp 39/udp resource
whois 43/tcp nicname
tacacs 49/tcp,udp
re-mail-ck 50/tcp,udp
domain 53/tcp,udp
whoispp 63/tcp,udp whois++
bootps 67/udp
bootpc 68/udp
tftp 69/udp
gopher 70/tcp
finger 79/tcp
http 80/tcp www www-http
kerberos 88/tcp,udp kerberos5 krb5 kerberos-sec
hostname 101/tcp hostnames
iso-tsap 102/tcp tsap
acr-nema 104/tcp dicom
csnet-ns 105/tcp,udp cso-ns
poppassd 106/tcp
rtelnet 107/tcp
pop2 109/tcp postoffice pop-2
pop3 110/tcp pop-3
sunrpc 111/tcp,udp portmapper
auth 113/tcp authentication tap ident
sftp 115/tcp
uucp-path 117/tcp
nntp 119/tcp readnews untp
ntp 123/udp
pwdgen 129/udp
epmap 135/tcp loc-srv
netbios-ns 137/udp
netbios-dgm 138/udp
netbios-ssn 139/tcp
imap2 143/tcp imap
snmp 161/tcp,udp
snmp-trap 162/tcp,udp snmptrap
cmip-man 163/tcp,udp
cmip-agent 164/tcp,udp
mailq 174/tcp
xdmcp 177/udp
bgp 179/tcp
prospero 191/tcp
irc 194/tcp,udp
smux 199/tcp
at-rtmp 201/tcp,udp
at-nbp 202/tcp,udp
at-echo 204/tcp,udp
at-zis 206/tcp,udp
qmtp 209/tcp
z3950 210/tcp wais
ipx 213/udp
imap3 220/tcp,udp
http-mgmt 280/tcp,udp
ptp-event 319/udp
ptp-general 320/udp
rpki-rtr 323/tcp
rpki-rtr-tls 324/tcp
pawserv 345/tcp
zserv 346/tcp
fatserv 347/tcp,udp
odmr 366/tcp,udp
rpc2portmap 369/tcp,udp
codaauth2 370/tcp,udp
clearcase 371/udp Clearcase
ulistserv 372/tcp,udp
ldap 389/tcp,udp
imsp 406/tcp,udp
svrloc 427/tcp,udp
https 443/tcp,udp
snpp 444/tcp
microsoft-ds 445/tcp
kpasswd 464/tcp,udp
submissions 465/tcp ssmtp smtps urd
saft 487/tcp
gss-http 488/tcp,udp
isakmp 500/udp
exec 512/tcp
biff 512/udp comsat
login 513/tcp
who 513/udp whod
shell 514/tcp cmd syslog
syslog 514/udp
printer 515/tcp spooler
talk 517/udp
ntalk 518/udp
route 520/udp router routed
timed 525/udp timeserver
tempo 526/tcp newdate
courier 530/tcp rpc
conference 531/tcp chat
netnews 532/tcp
netwall 533/udp
gdomap 538/tcp,udp
uucp 540/tcp uucpd
klogin 543/tcp
kshell 544/tcp krcmd
dhcpv6-client 546/udp
dhcpv6-server 547/udp
afpovertcp 548/tcp
rtsp 554/tcp,udp
remotefs 556/tcp rfs_server rfs
rmonitor 560/udp rmonitord
monitor 561/udp
nntps 563/tcp snntp
vemmi 575/tcp,udp
submission 587/tcp
http-rpc-epmap 593/tcp
ipcserver 600/tcp,udp
nqs 607/tcp
asf-rmcp 623/udp
qmqp 628/tcp
ipp 631/tcp
ldaps 636/tcp,udp
msdp 639/tcp,udp
ldp 646/tcp,udp
tinc 655/tcp,udp
acap 674/tcp,udp
ha-cluster 694/tcp,udp
olsr 698/udp
iris-beep 702/tcp,udp
silc 706/tcp
kerberos-adm 749/tcp
kerberos4 750/tcp,udp kerberos-iv kdc
kerberos-master 751/udp kerberos_master
kerberos-master 751/tcp
passwd-server 752/udp passwd_server
krb-prop 754/tcp krb_prop krb5_prop hprop
moira-db 775/tcp moira_db
moira-update 777/tcp moira_update
moira-ureg 779/udp moira_ureg
spamd 783/tcp
netconf-ssh 830/tcp
netconf-beep 831/tcp
domain-s 853/tcp,udp
supfilesrv 871/tcp
rsync 873/tcp
iclcnet-locate 886/tcp,udp
ftps-data 989/tcp
ftps 990/tcp
telnets 992/tcp
imaps 993/tcp
pop3s 995/tcp
socks 1080/tcp
proofd 1093/tcp
rootd 1094/tcp
rmiregistry 1099/tcp
supfiledbg 1127/tcp
skkserv 1178/tcp
openvpn 1194/tcp,udp
predict 1210/udp
rmtcfg 1236/tcp
xtel 1313/tcp
xtelw 1314/tcp
lotusnote 1352/tcp lotusnotes
ms-sql-s 1433/tcp
ms-sql-m 1434/udp
ncube-lm 1521/tcp
ingreslock 1524/tcp
datametrics 1645/tcp,udp old-radius
sa-msg-port 1646/tcp,udp old-radacct
kermit 1649/tcp
groupwise 1677/tcp
l2f 1701/udp l2tp
h323gatestat 1719/udp
h323hostcall 1720/tcp
radius 1812/tcp,udp
radius-acct 1813/tcp,udp radacct
mqtt 1883/tcp
ssdp 1900/udp
hsrp 1985/udp
cisco-sccp 2000/tcp
nfs 2049/tcp,udp
radsec 2083/tcp,udp
gnunet 2086/tcp,udp
rtcm-sc104 2101/tcp,udp
zephyr-srv 2102/udp
zephyr-clt 2103/udp
zephyr-hm 2104/udp
eklogin 2105/tcp
kx 2111/tcp
gsigatekeeper 2119/tcp
iprop 2121/tcp
gris 2135/tcp
eforward 2181/tcp
docker 2375/tcp
docker-s 2376/tcp
etcd-client 2379/tcp
etcd-server 2380/tcp
cvspserver 2401/tcp
venus 2430/tcp,udp
venus-se 2431/tcp,udp
codasrv 2432/tcp,udp
codasrv-se 2433/tcp,udp
mon 2583/tcp,udp
zebrasrv 2600/tcp
zebra 2601/tcp
ripd 2602/tcp
ripngd 2603/tcp
ospfd 2604/tcp
bgpd 2605/tcp
ospf6d 2606/tcp
ospfapi 2607/tcp
isisd 2608/tcp
dict 2628/tcp
f5-globalsite 2792/tcp
gsiftp 2811/tcp
m2ua 2904/tcp,udp,sctp
m3ua 2905/tcp,sctp
megaco-h248 2944/tcp,udp,sctp
h248-binary 2945/tcp,udp,sctp
gpsd 2947/tcp
afbackup 2988/tcp,udp
afmbackup 2989/tcp,udp
gds-db 3050/tcp gds_db
squid 3128/tcp ndl-aas
icpv2 3130/udp icp
isns 3205/tcp,udp
iscsi-target 3260/tcp
mysql 3306/tcp
ms-wbt-server 3389/tcp,udp
stun 3478/tcp,udp
nut 3493/tcp,udp
teredo 3544/udp
m2pa 3565/tcp,sctp
distcc 3632/tcp
daap 3689/tcp
svn 3690/tcp subversion
ws-discovery 3702/tcp,udp
bfd-control 3784/udp
bfd-echo 3785/udp
diameter 3868/tcp,sctp
pxe 4011/udp altserviceboot
suucp 4031/tcp
sysrqd 4094/tcp
sieve 4190/tcp
vrml-multi-use 4222/tcp
lisp-data 4341/udp
lisp-control 4342/udp
f5-iquery 4353/tcp
epmd 4369/tcp
remctl 4373/tcp
ntske 4460/tcp
ipsec-nat-t 4500/udp
fax 4557/tcp
hylafax 4559/tcp
iax 4569/udp
mtn 4691/tcp
ipfix 4739/tcp,udp,sctp
ipfixs 4740/tcp,udp,sctp
gre-in-udp 4754/udp
vxlan 4789/udp
radmin-port 4899/tcp
munin 4949/tcp lrrd
rfe 5002/tcp
mmcc 5050/tcp
sip 5060/tcp,udp
sip-tls 5061/tcp,udp
aol 5190/tcp
xmpp-client 5222/tcp jabber-client
capwap-control 5246/udp
capwap-data 5247/udp
xmpp-server 5269/tcp jabber-server
xmpp-bosh 5280/tcp
cfengine 5308/tcp
stuns 5349/tcp,udp
pcp-multicast 5350/udp
nat-pmp 5351/udp
dns-llq 5352/tcp,udp
mdns 5353/udp
noclog 5354/tcp,udp
llmnr 5355/tcp,udp
hostmon 5355/tcp,udp
postgresql 5432/tcp postgres
rplay 5555/udp
freeciv 5556/tcp rptp
nrpe 5666/tcp
nsca 5667/tcp
amqps 5671/tcp
amqp 5672/tcp,sctp
v5ua 5675/tcp,udp,sctp
canna 5680/tcp
coap 5683/tcp,udp
coaps 5684/tcp,udp
diameters 5868/tcp,sctp
vnc-server 5900/tcp rfb
x11 6000/tcp x11-0
x11-1 6001/tcp
x11-2 6002/tcp
x11-3 6003/tcp
x11-4 6004/tcp
x11-5 6005/tcp
x11-6 6006/tcp
x11-7 6007/tcp
geneve 6081/udp
gnutella-svc 6346/tcp,udp
gnutella-rtr 6347/tcp,udp
redis 6379/tcp
sge-qmaster 6444/tcp sge_qmaster
sge-execd 6445/tcp sge_execd
mysql-proxy 6446/tcp
syslog-tls 6514/tcp
sane-port 6566/tcp sane saned
mpls-udp 6635/udp
ovsdb 6640/tcp
openflow 6653/tcp,udp
ircd 6667/tcp
babel 6696/udp
ircs-u 6697/tcp
bbs 7000/tcp
afs3-fileserver 7000/udp
afs3-callback 7001/udp
afs3-prserver 7002/udp
afs3-vlserver 7003/udp
afs3-kaserver 7004/udp
afs3-volser 7005/udp
afs3-bos 7007/udp
afs3-update 7008/udp
afs3-rmtsys 7009/udp
font-service 7100/tcp xfs
rtps-discovery 7400/tcp,udp
rtps-dd-ut 7401/tcp,udp
simco 7626/tcp,sctp
zope-ftp 8021/tcp
http-alt 8080/tcp webcache
tproxy 8081/tcp
omniorb 8088/tcp
puppet 8140/tcp
mqtts 8883/tcp secure-mqtt
clc-build-daemon 8990/tcp
websm 9090/tcp
XmlIpcRegSvc 9092/tcp
pdl-datastream 9100/tcp jetdirect
bacula-dir 9101/tcp
bacula-fd 9102/tcp
bacula-sd 9103/tcp
wap-wsp 9200/tcp,udp
wap-wsp-wtp 9201/tcp,udp
mandelspawn 9359/udp mandelbrot
git 9418/tcp
xmms2 9667/tcp
zope 9673/tcp
sctp-tunneling 9899/tcp,udp
webmin 10000/tcp
zabbix-agent 10050/tcp
zabbix-trapper 10051/tcp
amanda 10080/tcp
kamanda 10081/tcp
amandaidx 10082/tcp
amidxtape 10083/tcp
nbd 10809/tcp
memcache 11211/tcp,udp
dicom 11112/tcp
hkp 11371/tcp
sua 14001/tcp,sctp
xdvi 15345/tcp
sgi-cmsd 17001/udp
sgi-crsd 17002/udp
sgi-gcd 17003/udp
sgi-cad 17004/tcp
db-lsp 17500/tcp
nfsrdma 20049/tcp,udp,sctp
dcap 22125/tcp
gsidcap 22128/tcp
wnn6 22273/tcp
binkp 24554/tcp
mongodb 27017/tcp
asp 27374/tcp,udp
sgsap 29118/sctp
sbcap 29168/sctp
csync2 30865/tcp
dircproxy 57000/tcp
tfido 60177/tcp
fido 60179/tcp
`

// protocolText is the embedded protocols database in the form of
// protocols(5), from IANA's Protocol Numbers registry, with the upper-case
// alias that BSD gave to each.
const protocolText = `
ip 0 IP
hopopt 0 HOPOPT
icmp 1 ICMP
igmp 2 IGMP
ggp 3 GGP
ipencap 4 IP-ENCAP ipv4 IPv4
st 5 ST
tcp 6 TCP
cbt 7 CBT
egp 8 EGP
igp 9 IGP
bbn-rcc 10 BBN-RCC-MON
nvp 11 NVP-II
pup 12 PUP
argus 13 ARGUS
emcon 14 EMCON
xnet 15 XNET
chaos 16 CHAOS
udp 17 UDP
mux 18 MUX
dcn 19 DCN-MEAS
hmp 20 HMP
prm 21 PRM
xns-idp 22 XNS-IDP
trunk-1 23 TRUNK-1
trunk-2 24 TRUNK-2
leaf-1 25 LEAF-1
leaf-2 26 LEAF-2
rdp 27 RDP
irtp 28 IRTP
iso-tp4 29 ISO-TP4
netblt 30 NETBLT
mfe-nsp 31 MFE-NSP
merit-inp 32 MERIT-INP
dccp 33 DCCP
3pc 34 3PC
idpr 35 IDPR
xtp 36 XTP
ddp 37 DDP
idpr-cmtp 38 IDPR-CMTP
tp++ 39 TP++
il 40 IL
ipv6 41 IPv6
sdrp 42 SDRP
ipv6-route 43 IPv6-Route
ipv6-frag 44 IPv6-Frag
idrp 45 IDRP
rsvp 46 RSVP
gre 47 GRE
dsr 48 DSR
bna 49 BNA
esp 50 IPSEC-ESP ESP
ah 51 IPSEC-AH AH
i-nlsp 52 I-NLSP
swipe 53 SWIPE
narp 54 NARP
mobile 55 MOBILE
tlsp 56 TLSP
skip 57 SKIP
ipv6-icmp 58 IPv6-ICMP icmpv6
ipv6-nonxt 59 IPv6-NoNxt
ipv6-opts 60 IPv6-Opts
cftp 62 CFTP
sat-expak 64 SAT-EXPAK
kryptolan 65 KRYPTOLAN
rvd 66 RVD
ippc 67 IPPC
sat-mon 69 SAT-MON
visa 70 VISA
ipcv 71 IPCV
cpnx 72 CPNX
rspf 73 RSPF CPHB
wsn 74 WSN
pvp 75 PVP
br-sat-mon 76 BR-SAT-MON
sun-nd 77 SUN-ND
wb-mon 78 WB-MON
wb-expak 79 WB-EXPAK
iso-ip 80 ISO-IP
vmtp 81 VMTP
secure-vmtp 82 SECURE-VMTP
vines 83 VINES
ttp 84 TTP
nsfnet-igp 85 NSFNET-IGP
dgp 86 DGP
tcf 87 TCF
eigrp 88 EIGRP
ospf 89 OSPFIGP OSPF
sprite-rpc 90 Sprite-RPC
larp 91 LARP
mtp 92 MTP
ax.25 93 AX.25
ipip 94 IPIP
micp 95 MICP
scc-sp 96 SCC-SP
etherip 97 ETHERIP
encap 98 ENCAP
gmtp 100 GMTP
ifmp 101 IFMP
pnni 102 PNNI
pim 103 PIM
aris 104 ARIS
scps 105 SCPS
qnx 106 QNX
a/n 107 A/N
ipcomp 108 IPCOMP
snp 109 SNP
compaq-peer 110 Compaq-Peer
ipx-in-ip 111 IPX-in-IP
vrrp 112 VRRP
pgm 113 PGM
l2tp 115 L2TP
ddx 116 DDX
iatp 117 IATP
stp 118 STP
srp 119 SRP
uti 120 UTI
smp 121 SMP
sm 122 SM
ptp 123 PTP
isis 124 ISIS
fire 125 FIRE
crtp 126 CRTP
crudp 127 CRUDP
sscopmce 128 SSCOPMCE
iplt 129 IPLT
sps 130 SPS
pipe 131 PIPE
sctp 132 SCTP
fc 133 FC
rsvp-e2e-ignore 134 RSVP-E2E-IGNORE
mobility-header 135 Mobility-Header
udplite 136 UDPLite
mpls-in-ip 137 MPLS-in-IP
manet 138 MANET
hip 139 HIP
shim6 140 Shim6
wesp 141 WESP
rohc 142 ROHC
ethernet 143 Ethernet
`
