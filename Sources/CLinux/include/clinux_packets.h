// SPDX-License-Identifier: Apache-2.0
// Sockets that send and receive whole frames of a network device, and ethtool's requests.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// What came beside a frame: struct tpacket_auxdata and sll_pkttype.
struct clinux_packet {
	uint32_t status;
	uint32_t length;
	uint32_t vlan_tci;
	uint32_t vlan_protocol;
	uint32_t kind;
};

// Options of clinux_packet_socket.
enum { CLINUX_PACKET_VNET_HEADER = 1, CLINUX_PACKET_PROMISCUOUS = 2, CLINUX_PACKET_INCOMING = 4 };

// A non-blocking packet socket (SOCK_RAW) of one device for one EtherType; 0: receives nothing. -1 and errno on error.
int clinux_packet_socket(int device, uint16_t protocol, int options);
// The bytes of the frame that were stored; -1 and errno on error.
ssize_t clinux_packet_receive(int socket, void *bytes, size_t size, struct clinux_packet *info);
// Frames that the socket had no room for since it was last asked; -1 and errno on error.
int clinux_packet_drops(int socket);
// SIOCETHTOOL for a device: the request starts with the command's number and is answered in place.
int clinux_ethtool(const char *device, void *request);
// A socket that receives the kernel's announcements of devices that change (RTNLGRP_LINK).
int clinux_link_events(void);
