#!/bin/sh
# Run by nginx' image before nginx starts: puts this installation's name, its certificate and Flower's user
# into nginx' files. What comes out is nginx.conf of this directory, with nothing else changed.
set -eu
to="${NGINX_DIR:-/etc/nginx}"
sed -e "s|^\( *ssl_certificate\) .*;|\1 $SSL_CERT_PATH;|" \
    -e "s|^\( *ssl_certificate_key\) .*;|\1 $SSL_KEY_PATH;|" \
    -e "s|^\( *server_name\) .*;|\1 $SERVER_NAME;|" \
    "$to/nginx.conf.in" > "$to/nginx.conf"
# Flower takes the same users, as user:password,user:password.
printf '%s\n' "$FLOWER_BASIC_AUTH" | tr ',' '\n' | sed 's/:/:{PLAIN}/' > "$to/flower.htpasswd"
