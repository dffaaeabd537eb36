//go:build linux

package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	gotls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usersock/interop/netns"
	"usersock/sockapi"
	"usersock/tls"
)

// tenMB is 10 MB that look random and are the same each time.
func tenMB() []byte {
	data := make([]byte, 10<<20)
	rand.NewChaCha8([32]byte([]byte("ten megabytes that go over TLS.."))).Read(data)
	return data
}

// protocols are HTTP's versions by their names in ALPN. A server and a client of
// the first run over our connections; the second needs a *tls.Conn, which
// crypto/tls makes with our context's configuration.
var protocols = map[string]string{"http/1.1": "HTTP/1.1", "h2": "HTTP/2.0"}

// TestTLSCurl: curl with our server: 10 MB each way, with and without the
// authority, and with and without a certificate of its own.
func TestTLSCurl(t *testing.T) {
	netns.Need(t, "curl")
	n := host(t, "tun")
	ca, other := newAuthority(t, "root"), newAuthority(t, "other")
	show, own, wrong := ca.issue("ecdsa", tlsName), ca.issue("rsa", "client.example"), other.issue("rsa", "client.example")
	data := tenMB()
	sum := sha256.Sum256(data)
	dir := t.TempDir()
	file, got := filepath.Join(dir, "file"), filepath.Join(dir, "got")
	check(t, os.WriteFile(file, data, 0o600))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprint(w, r.Proto, " ", name)
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	mux.HandleFunc("PUT /file", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		size, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v", size, h.Sum(nil), err)
	})
	port := tlsPort
	for alpn, proto := range protocols {
		t.Run(alpn, func(t *testing.T) {
			ctx := ca.server(t, show)
			check(t, ctx.SetAlpnProtocols(alpn))
			serve := func(mode int) (url string, curl func(args ...string) (string, error)) {
				check(t, ctx.SetVerifyMode(mode))
				port++
				l, err := n.Listen("tcp", at(ours4, port))
				check(t, err)
				if alpn == "h2" {
					cfg, err := ctx.Config("")
					check(t, err)
					l = gotls.NewListener(l, cfg)
				} else {
					l = ctx.NewListener(l)
				}
				server := &http.Server{Handler: mux}
				served := make(chan error, 1)
				go func() { served <- server.Serve(l) }()
				t.Cleanup(func() {
					server.Close()
					if err := <-served; !errors.Is(err, http.ErrServerClosed) {
						t.Error(err)
					}
				})
				url = "https://" + at(tlsName, port)
				resolve := at(tlsName, port) + ":" + ours4
				return url, func(args ...string) (string, error) {
					t.Helper()
					out, err := exec.CommandContext(t.Context(), "curl", append([]string{"--noproxy", "*", "-sS", "-v", "--fail", "--max-time", "60", "--resolve", resolve}, args...)...).CombinedOutput()
					return string(out), err
				}
			}
			want := func(out string, err error, word string, codes ...int) {
				t.Helper()
				code := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					code = exit.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				if !slices.Contains(codes, code) || !strings.Contains(out, word) {
					t.Errorf("%v, want %q and an exit code of %d:\n%s", err, word, codes, out)
				}
			}

			url, curl := serve(tls.CERT_NONE)
			out, err := curl("--cacert", ca.file, url+"/who")
			want(out, err, proto+" nobody", 0)
			out, err = curl(url + "/who")
			want(out, err, "unable to get local issuer certificate", 60)
			out, err = curl("--cacert", other.file, url+"/who")
			want(out, err, "unable to get local issuer certificate", 60)
			out, err = curl("-k", url+"/who")
			want(out, err, proto+" nobody", 0)
			out, err = curl("--cacert", ca.file, "-o", got, url+"/file")
			want(out, err, "", 0)
			if back, err := os.ReadFile(got); err != nil || sha256.Sum256(back) != sum {
				t.Errorf("%d bytes came, %v", len(back), err)
			}
			out, err = curl("--cacert", ca.file, "-T", file, url+"/file")
			want(out, err, fmt.Sprintf("%d %x <nil>", len(data), sum), 0)

			url, curl = serve(tls.CERT_REQUIRED)
			out, err = curl("--cacert", ca.file, "--cert", own.cert, "--key", own.key, url+"/who")
			want(out, err, proto+" client.example", 0)
			// In TLS 1.3 it has sent its request, or not all of it, when it is refused.
			out, err = curl("--cacert", ca.file, url+"/who")
			want(out, err, "", 55, 56)
			out, err = curl("--cacert", ca.file, "--cert", wrong.cert, "--key", wrong.key, url+"/who")
			want(out, err, "", 55, 56)
			out, err = curl("--cacert", ca.file, "--tls-max", "1.2", url+"/who")
			want(out, err, "alert", 35)

			url, curl = serve(tls.CERT_OPTIONAL)
			out, err = curl("--cacert", ca.file, url+"/who")
			want(out, err, proto+" nobody", 0)
			out, err = curl("--cacert", ca.file, "--cert", own.cert, "--key", own.key, url+"/who")
			want(out, err, proto+" client.example", 0)
		})
	}
}

// TestTLSNginx: our client with nginx: 10 MB each way, several requests on a
// connection, and a certificate that nginx asks for.
func TestTLSNginx(t *testing.T) {
	netns.Need(t, "nginx")
	n := host(t, "tun")
	ca := newAuthority(t, "root")
	show, own := ca.issue("ecdsa", tlsName), ca.issue("rsa", "client.example")
	data := tenMB()
	sum := sha256.Sum256(data)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "file"), data, 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "small"), []byte("a few bytes"), 0o644))
	conf := filepath.Join(dir, "nginx.conf")
	check(t, os.WriteFile(conf, fmt.Appendf(nil, `user root; daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log stderr notice;
events {}
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s:443 ssl http2; server_name %[3]s; root %[1]s; client_max_body_size 0; dav_methods PUT;
ssl_certificate %[4]s; ssl_certificate_key %[5]s; ssl_client_certificate %[6]s; ssl_verify_client optional; ssl_protocols TLSv1.2 TLSv1.3;
location /who { return 200 "$server_protocol $ssl_protocol $ssl_client_verify $ssl_client_s_dn"; } } }
`, dir, kernel4, tlsName, show.cert, show.key, ca.file), 0o644))
	nginx := netns.Start(t, "nginx", "-c", conf, "-e", "stderr", "-p", dir)
	nginx.Expect("getrlimit") // it listens by then

	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, at(kernel4, 443))
	}
	for alpn, proto := range protocols {
		for _, certificate := range []bool{false, true} {
			t.Run(fmt.Sprint(alpn, "/", certificate), func(t *testing.T) {
				ctx := ca.client(t)
				check(t, ctx.SetAlpnProtocols(alpn))
				who := "NONE "
				if certificate {
					check(t, ctx.LoadCertChain(own.cert, own.key, nil))
					who = "SUCCESS CN=client.example"
				}
				tr := &http.Transport{DialTLSContext: func(c context.Context, network, address string) (net.Conn, error) {
					plain, err := dial(c, network, address)
					if err != nil {
						return nil, err
					}
					conn, err := ctx.Client(plain.(*sockapi.Conn), tlsName)
					if err != nil {
						plain.Close()
						return nil, err
					}
					return conn, nil
				}}
				if alpn == "h2" {
					cfg, err := ctx.Config(tlsName)
					check(t, err)
					tr = &http.Transport{DialContext: dial, TLSClientConfig: cfg, ForceAttemptHTTP2: true}
				}
				defer tr.CloseIdleConnections()
				do := func(method, path string, body []byte, status int) []byte {
					t.Helper()
					rq, err := http.NewRequestWithContext(t.Context(), method, "https://"+tlsName+path, bytes.NewReader(body))
					check(t, err)
					reply, err := (&http.Client{Transport: tr, Timeout: tlsPatience}).Do(rq)
					if err != nil {
						t.Fatalf("%s %s: %v\n%s", method, path, err, nginx.Printed())
					}
					defer reply.Body.Close()
					text, err := io.ReadAll(reply.Body)
					if err != nil || reply.StatusCode != status || reply.Proto != proto {
						t.Fatalf("%s %s: %s %s, %d bytes, %v\n%s", method, path, reply.Proto, reply.Status, len(text), err, nginx.Printed())
					}
					return text
				}
				if got, want := string(do("GET", "/who", nil, 200)), proto+" TLSv1.3 "+who; got != want {
					t.Errorf("nginx saw %q, want %q\n%s", got, want, nginx.Printed())
				}
				for range 20 {
					if text := do("GET", "/small", nil, 200); string(text) != "a few bytes" {
						t.Fatalf("%q\n%s", text, nginx.Printed())
					}
				}
				if sha256.Sum256(do("GET", "/file", nil, 200)) != sum {
					t.Errorf("other bytes came\n%s", nginx.Printed())
				}
				name := fmt.Sprintf("/%s-%v", strings.ReplaceAll(alpn, "/", ""), certificate)
				do("PUT", name, data, 201)
				if stored, err := os.ReadFile(filepath.Join(dir, name)); err != nil || sha256.Sum256(stored) != sum {
					t.Errorf("%d bytes are stored, %v\n%s", len(stored), err, nginx.Printed())
				}
			})
		}
	}
}
