from ebpffix.app.cli import main

main()
