# shellcheck shell=bash
# tests/cli/certs.sh - certificates for tests, made when they run and thrown away with them. Sourced.
#
# certs DIR makes, as PEM: ca.pem, a root that nobody else trusts; key.pem, one key for all of these; good.pem, by that root for localhost
# and 127.0.0.1; both.pem, good.pem and its key in one; expired.pem, elsewhere.pem (for another name), self.pem (by itself).
certs()
{
    local dir=$1 names=subjectAltName=DNS:localhost,IP:127.0.0.1
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" -days 2 -subj "/CN=wsring test root" &&
            openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$dir/key.pem" &&
            openssl req -new -key "$dir/key.pem" -subj /CN=localhost -out "$dir/good.csr" &&
            certs_sign "$dir" good 2 "$names" && certs_sign "$dir" expired -1 "$names" && certs_sign "$dir" elsewhere 2 subjectAltName=DNS:example.com &&
            openssl req -x509 -key "$dir/key.pem" -out "$dir/self.pem" -days 2 -subj /CN=localhost -addext "$names" &&
            cat "$dir/good.pem" "$dir/key.pem" >"$dir/both.pem"
    } >"$dir/openssl.log" 2>&1
}

# certs_sign DIR NAME DAYS EXTENSION
certs_sign()
{
    openssl x509 -req -in "$1/good.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -days "$3" -out "$1/$2.pem" -extfile <(echo "$4")
}
