// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "include/clinux_packets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int close_with_errno(int socket)
{
	int error = errno;

	close(socket);
	errno = error;
	return -1;
}

int clinux_packet_socket(int device, uint16_t protocol, int options)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = device };
	struct packet_mreq promiscuous = { .mr_ifindex = device, .mr_type = PACKET_MR_PROMISC };
	int one = 1, room = 32 << 20;
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	// All options before the socket is bound: no frame comes without them.
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0 ||
	    ((options & CLINUX_PACKET_VNET_HEADER) &&
	     setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) ||
	    ((options & CLINUX_PACKET_INCOMING) &&
	     setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) ||
	    ((options & CLINUX_PACKET_PROMISCUOUS) &&
	     setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous) < 0) ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return close_with_errno(fd);
	return fd;
}

ssize_t clinux_packet_receive(int socket, void *bytes, size_t size, struct clinux_packet *info)
{
	union {
		char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr alignment;
	} control;
	struct sockaddr_ll from = { 0 };
	struct iovec part = { bytes, size };
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *header;
	ssize_t received;

	do
		received = recvmsg(socket, &message, 0);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return -1;
	memset(info, 0, sizeof *info);
	info->kind = from.sll_pkttype;
	for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
		struct tpacket_auxdata more;

		if (header->cmsg_level != SOL_PACKET || header->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&more, CMSG_DATA(header), sizeof more);
		info->status = more.tp_status;
		info->length = more.tp_len;
		info->vlan_tci = more.tp_vlan_tci;
		info->vlan_protocol = more.tp_vlan_tpid;
	}
	return received;
}

int clinux_packet_drops(int socket)
{
	struct tpacket_stats statistics;
	socklen_t size = sizeof statistics;

	if (getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) < 0)
		return -1;
	return (int)statistics.tp_drops;
}

int clinux_ethtool(const char *device, void *request)
{
	struct ifreq ifreq = { .ifr_data = request };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result;

	if (fd < 0)
		return -1;
	strncpy(ifreq.ifr_name, device, IFNAMSIZ - 1);
	result = ioctl(fd, SIOCETHTOOL, &ifreq);
	close_with_errno(fd);
	return result;
}

int clinux_link_events(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return close_with_errno(fd);
	return fd;
}
