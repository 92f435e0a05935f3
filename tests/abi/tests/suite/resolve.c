/* resolve [-s BYTES] [-d COUNT] [-4|-6] [-c] [-m] [-a] [-g] NAME...
 * resolve [-s BYTES] [-d COUNT] -n ADDRESS...
 * resolve [-s BYTES] [-d COUNT] -l
 *
 * Asks glibc as any C program does, for one name after the other, and prints a line each: "canonical NAME", "ADDRESS" or
 * "ADDRESS%SCOPE", or "error SYMBOL" alone. -4, -6: that family; -c: AI_CANONNAME; -m:
 * AI_V4MAPPED | AI_ALL; -a: AI_ADDRCONFIG; -g: gethostbyname instead of getaddrinfo; -n:
 * getnameinfo with NI_NAMEREQD; -l: gethostent, to the end, and how many there are; -s: ask in a thread
 * with a stack of so many bytes; -d: once glibc has loaded the modules, leave only so many descriptors. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

/* What is asked, and what came of it. It is printed by the main thread: printf takes stack too. */
static enum { BY_NAME, BY_GETHOSTBYNAME, BY_ADDRESS, LIST } how;
static const char *name;
static struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
static struct addrinfo *all;
static const struct hostent *host;
static char host_name[NI_MAXHOST];
static int error, count;

static void *ask(void *unused)
{
    switch (how) {
    case BY_NAME:
        error = getaddrinfo(name, NULL, &hints, &all);
        break;
    case BY_GETHOSTBYNAME:
        host = gethostbyname(name);
        error = h_errno;
        break;
    case BY_ADDRESS:
        hints.ai_flags = AI_NUMERICHOST;
        error = getaddrinfo(name, NULL, &hints, &all);
        if (!error)
            error = getnameinfo(all->ai_addr, all->ai_addrlen, host_name, sizeof host_name, NULL,
                                0, NI_NAMEREQD);
        break;
    case LIST:
        sethostent(0);
        while (gethostent())
            count++;
        endhostent();
        break;
    }
    return unused;
}

static int ask_in_thread(size_t stack)
{
    pthread_attr_t attributes;
    pthread_t thread;
    return pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, stack)
        || pthread_create(&thread, &attributes, ask, NULL) || pthread_join(thread, NULL);
}

static void print(void)
{
    if (how == LIST) {
        printf("%d\n", count);
    } else if (how == BY_GETHOSTBYNAME && !host) {
        printf("error h_errno %d\n", error);
    } else if (how == BY_GETHOSTBYNAME) {
        printf("canonical %s\n", host->h_name);
        for (char **address = host->h_addr_list; *address; address++) {
            char text[INET6_ADDRSTRLEN] = "?";
            puts(inet_ntop(host->h_addrtype, *address, text, sizeof text));
        }
    } else if (error) {
        print_error(error);
    } else if (how == BY_ADDRESS) {
        puts(host_name);
    } else {
        if (all->ai_canonname)
            printf("canonical %s\n", all->ai_canonname);
        for (const struct addrinfo *info = all; info; info = info->ai_next)
            print_address(info);
    }
}

/* Loads the modules, and makes all but COUNT descriptors unavailable. */
static int leave_descriptors(int left)
{
    struct rlimit limit;
    int free = 0, end = 0;

    gethostbyname("localhost");
    while (free < left || fcntl(end, F_GETFD) >= 0)
        free += fcntl(end++, F_GETFD) < 0;
    limit.rlim_cur = limit.rlim_max = end;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    size_t stack = 0;
    int option, descriptors = -1;

    while ((option = getopt(argc, argv, "46cmagnls:d:")) != -1) {
        switch (option) {
        case '4': hints.ai_family = AF_INET; break;
        case '6': hints.ai_family = AF_INET6; break;
        case 'c': hints.ai_flags |= AI_CANONNAME; break;
        case 'm': hints.ai_flags |= AI_V4MAPPED | AI_ALL; break;
        case 'a': hints.ai_flags |= AI_ADDRCONFIG; break;
        case 'g': how = BY_GETHOSTBYNAME; break;
        case 'n': how = BY_ADDRESS; break;
        case 'l': how = LIST; break;
        case 's': stack = strtoul(optarg, NULL, 10); break;
        case 'd': descriptors = atoi(optarg); break;
        default: return 2;
        }
    }
    if ((optind == argc) != (how == LIST))
        return 2;
    if (descriptors >= 0 && leave_descriptors(descriptors))
        return 4;
    do {
        name = argv[optind];
        if (!stack)
            ask(NULL);
        else if (ask_in_thread(stack))
            return 3;
        print();
    } while (++optind < argc);
    return 0;
}
