/* lookup NAME...: the addresses of each name, a line each, as the C library finds them; "none" where it finds none. For a static
 * program with musl, which has no name service switch. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **names)
{
    for (int at = 1; at < count; at++) {
        struct addrinfo *all = NULL, hints = {.ai_socktype = SOCK_STREAM};
        if (getaddrinfo(names[at], NULL, &hints, &all) != 0)
            puts("none");
        for (struct addrinfo *one = all; one; one = one->ai_next) {
            char text[INET6_ADDRSTRLEN];
            const void *address = one->ai_family == AF_INET
                ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
                : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
            puts(inet_ntop(one->ai_family, address, text, sizeof text));
        }
    }
    return 0;
}
