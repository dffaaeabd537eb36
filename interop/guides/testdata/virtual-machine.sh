mkdir ~/vm
cp "$USERSOCK_VM"/*.deb ~/vm/
