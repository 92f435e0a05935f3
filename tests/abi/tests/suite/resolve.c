/* resolve [-4|-6] [-c] [-m] [-a] [-g] NAME
 * resolve -n ADDRESS
 *
 * Asks glibc as any C program does and prints a line each: "canonical NAME", "ADDRESS" or
 * "ADDRESS%SCOPE", or "error SYMBOL" alone. -4, -6: that family; -c: AI_CANONNAME; -m:
 * AI_V4MAPPED | AI_ALL; -a: AI_ADDRCONFIG; -g: gethostbyname instead of getaddrinfo; -n:
 * getnameinfo with NI_NAMEREQD. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void print_error(int error)
{
    switch (error) {
    case EAI_NONAME: puts("error EAI_NONAME"); break;
    case EAI_NODATA: puts("error EAI_NODATA"); break;
    case EAI_AGAIN: puts("error EAI_AGAIN"); break;
    case EAI_SYSTEM: puts("error EAI_SYSTEM"); break;
    case EAI_ADDRFAMILY: puts("error EAI_ADDRFAMILY"); break;
    default: printf("error %d\n", error);
    }
}

static void print_address(const struct addrinfo *info)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (info->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)info->ai_addr;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        puts(text);
    } else {
        const struct sockaddr_in6 *in6 = (const void *)info->ai_addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text);
        if (in6->sin6_scope_id)
            printf("%s%%%u\n", text, in6->sin6_scope_id);
        else
            puts(text);
    }
}

static int name_of(const char *address)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
    struct addrinfo *info;
    char host[NI_MAXHOST];
    int error = getaddrinfo(address, NULL, &hints, &info);
    if (!error) {
        error = getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof host, NULL, 0,
                            NI_NAMEREQD);
        freeaddrinfo(info);
    }
    if (error)
        print_error(error);
    else
        puts(host);
    return 0;
}

static int by_gethostbyname(const char *name)
{
    const struct hostent *host = gethostbyname(name);
    if (!host) {
        printf("error h_errno %d\n", h_errno);
        return 0;
    }
    printf("canonical %s\n", host->h_name);
    for (char **address = host->h_addr_list; *address; address++) {
        char text[INET6_ADDRSTRLEN] = "?";
        puts(inet_ntop(host->h_addrtype, *address, text, sizeof text));
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *all;
    int option, reverse = 0, old = 0;

    while ((option = getopt(argc, argv, "46cmagn")) != -1) {
        switch (option) {
        case '4': hints.ai_family = AF_INET; break;
        case '6': hints.ai_family = AF_INET6; break;
        case 'c': hints.ai_flags |= AI_CANONNAME; break;
        case 'm': hints.ai_flags |= AI_V4MAPPED | AI_ALL; break;
        case 'a': hints.ai_flags |= AI_ADDRCONFIG; break;
        case 'g': old = 1; break;
        case 'n': reverse = 1; break;
        default: return 2;
        }
    }
    if (optind + 1 != argc)
        return 2;
    if (reverse)
        return name_of(argv[optind]);
    if (old)
        return by_gethostbyname(argv[optind]);

    int error = getaddrinfo(argv[optind], NULL, &hints, &all);
    if (error) {
        print_error(error);
        return 0;
    }
    if (all->ai_canonname)
        printf("canonical %s\n", all->ai_canonname);
    for (const struct addrinfo *info = all; info; info = info->ai_next)
        print_address(info);
    freeaddrinfo(all);
    return 0;
}
