// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages of a Linux guest that become shared and private again, without end.
 * What is written to them after a conversion must be there at the next one.
 *
 * If there is an edu device, it has DMA to pages that are shared for it only
 * so long.
 */

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/set_memory.h>

#define BUFFERS 32
#define LARGE 9                 /* the order of the first one, others have 0 */

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8
#define EDU_MASK DMA_BIT_MASK(28)
#define EDU_SOURCE 0x80
#define EDU_TARGET 0x88
#define EDU_COUNT 0x90
#define EDU_COMMAND 0x98
#define EDU_START 1
#define EDU_TO_RAM 2
#define EDU_BUFFER 0x40000
#define EDU_LIMIT_US (60 * USEC_PER_SEC)

static unsigned int rate = 200;
module_param(rate, uint, 0444);
MODULE_PARM_DESC(rate, "Conversions in a second, if there is time for them");

static unsigned long conversions;
module_param(conversions, ulong, 0444);
MODULE_PARM_DESC(conversions, "How many there have been");

static unsigned long pages_to_shared, pages_to_private;
static unsigned long transfers;         /* of pages, to the device and back */
static unsigned long wrong;             /* contents, and other failures */

static struct buffer {
	u64 *data;
	u64 seed;
	unsigned int order;
	bool shared;
} buffers[BUFFERS];

static struct task_struct *converter;

struct edu {
	void __iomem *regs;
	struct task_struct *thread;
};

static void fill(u64 *data, size_t size, u64 seed)
{
	size_t i;

	for (i = 0; i < size / sizeof(*data); i++)
		data[i] = seed + i;
}

static bool is_filled(const u64 *data, size_t size, u64 seed)
{
	size_t i;

	for (i = 0; i < size / sizeof(*data); i++)
		if (READ_ONCE(data[i]) != seed + i)
			return false;
	return true;
}

static void convert(struct buffer *buffer)
{
	unsigned long address = (unsigned long)buffer->data;
	size_t size = PAGE_SIZE << buffer->order;
	int pages = 1 << buffer->order;
	int error;

	if (!is_filled(buffer->data, size, buffer->seed)) {
		pr_err("convert: %d pages have changed\n", pages);
		wrong++;
	}
	error = buffer->shared ? set_memory_encrypted(address, pages) :
				 set_memory_decrypted(address, pages);
	if (error) {
		pr_err("convert: error %d\n", error);
		wrong++;
	}
	buffer->shared = !buffer->shared;
	if (buffer->shared)
		pages_to_shared += pages;
	else
		pages_to_private += pages;
	conversions++;
	buffer->seed = get_random_u64();
	fill(buffer->data, size, buffer->seed);
}

static int convert_all(void *unused)
{
	ktime_t next = ktime_get();

	while (!kthread_should_stop()) {
		s64 left;

		convert(&buffers[get_random_u32_below(BUFFERS)]);
		next = ktime_add_us(next, USEC_PER_SEC / rate);
		left = ktime_us_delta(next, ktime_get());
		if (left > 0) {
			usleep_range(left, left + 1);
		} else {
			next = ktime_get();
			cond_resched();
		}
	}
	return 0;
}

/* A page, to EDU_BUFFER or from there */
static int copy(void __iomem *edu, u64 source, u64 target, u32 command)
{
	u32 status;

	writeq(source, edu + EDU_SOURCE);
	writeq(target, edu + EDU_TARGET);
	writeq(PAGE_SIZE, edu + EDU_COUNT);
	writel(EDU_START | command, edu + EDU_COMMAND);
	return readl_poll_timeout(edu + EDU_COMMAND, status,
				  !(status & EDU_START), 1000, EDU_LIMIT_US);
}

static int transfer_all(void *device)
{
	struct pci_dev *pci = device;
	struct edu *edu = pci_get_drvdata(pci);

	while (!kthread_should_stop()) {
		u64 seed = get_random_u64();
		dma_addr_t address;
		u64 *data = dma_alloc_coherent(&pci->dev, 2 * PAGE_SIZE,
					       &address, GFP_KERNEL);
		u64 *back = data + PAGE_SIZE / sizeof(*data);

		if (!data) {
			pr_err("convert: no memory for DMA\n");
			wrong++;
			msleep(MSEC_PER_SEC);
			continue;
		}
		fill(data, PAGE_SIZE, seed);
		if (copy(edu->regs, address, EDU_BUFFER, 0) ||
		    copy(edu->regs, EDU_BUFFER, address + PAGE_SIZE,
			 EDU_TO_RAM) ||
		    !is_filled(back, PAGE_SIZE, seed)) {
			pr_err("convert: DMA failed\n");
			wrong++;
		}
		dma_free_coherent(&pci->dev, 2 * PAGE_SIZE, data, address);
		transfers++;
	}
	return 0;
}

static int edu_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct edu *edu = devm_kzalloc(&pci->dev, sizeof(*edu), GFP_KERNEL);
	int error = pcim_enable_device(pci);

	if (!error)
		error = dma_set_mask_and_coherent(&pci->dev, EDU_MASK);
	if (error || !edu)
		return error ?: -ENOMEM;
	edu->regs = pcim_iomap(pci, 0, 0);
	if (!edu->regs)
		return -ENOMEM;
	pci_set_master(pci);
	pci_set_drvdata(pci, edu);
	edu->thread = kthread_run(transfer_all, pci, "edu");
	return PTR_ERR_OR_ZERO(edu->thread);
}

static void edu_remove(struct pci_dev *pci)
{
	struct edu *edu = pci_get_drvdata(pci);

	kthread_stop(edu->thread);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{ }
};

static struct pci_driver edu_driver = {
	.name = "edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static void give_back(void)
{
	struct buffer *buffer;

	for (buffer = buffers; buffer < buffers + BUFFERS; buffer++) {
		if (!buffer->data)
			continue;
		if (buffer->shared)
			convert(buffer);
		free_pages((unsigned long)buffer->data, buffer->order);
	}
}

static int __init convert_init(void)
{
	struct buffer *buffer;
	int error;

	buffers[0].order = LARGE;
	for (buffer = buffers; buffer < buffers + BUFFERS; buffer++) {
		buffer->data = (u64 *)__get_free_pages(GFP_KERNEL,
						       buffer->order);
		if (!buffer->data) {
			give_back();
			return -ENOMEM;
		}
		fill(buffer->data, PAGE_SIZE << buffer->order, buffer->seed);
	}
	converter = kthread_run(convert_all, NULL, "convert");
	if (IS_ERR(converter)) {
		give_back();
		return PTR_ERR(converter);
	}
	error = pci_register_driver(&edu_driver);
	if (error) {
		kthread_stop(converter);
		give_back();
	}
	return error;
}

/* The counters are gone with the module, so this is what it says at last */
static void __exit convert_exit(void)
{
	pci_unregister_driver(&edu_driver);
	kthread_stop(converter);
	give_back();
	pr_notice("convert: done conversions=%lu to-shared=%lu to-private=%lu "
		  "transfers=%lu wrong=%lu\n", conversions, pages_to_shared,
		  pages_to_private, transfers, wrong);
}

module_init(convert_init);
module_exit(convert_exit);
MODULE_DESCRIPTION("Converts memory of a confidential guest under load");
MODULE_LICENSE("GPL");
