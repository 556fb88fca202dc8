/* Uses the device's side of updates. It returns 0 when the library was built for the flash that CMake was told of. */
#include <gmcf.h>

static uint64_t updater[GMCF_UPDATER_BYTES / 8], link[GMCF_LINK_BYTES / 8];

static int check(void)
{
    gmcf_error error;
    gmcf_boot_result image;
    size_t consumed, len;
    const uint8_t *reply;

    /* Nothing to work with, so each is refused; but all of it must be there. */
    if (gmcf_boot(0, 0, 3, updater, sizeof updater, &image, &error) >= 0 ||
        gmcf_updater_open(updater, sizeof updater, 0, 0, 0, &error) >= 0 ||
        gmcf_link_push((gmcf_link *)link, (gmcf_updater *)updater, 0, 0, &consumed, &reply, &len) >= 0) {
        return 1;
    }
    return gmcf_write_size() == WRITE_SIZE && gmcf_erase_size() == ERASE_SIZE ? 0 : 2;
}

#if __STDC_HOSTED__
int main(void)
{
    return check();
}
#else
void _start(void)
{
    for (;;) {
        check();
    }
}
#endif
